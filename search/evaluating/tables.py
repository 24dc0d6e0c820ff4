"""Tables of an evaluation in words, for the terminal and as Markdown. Nothing is computed here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from search.display.terminal import cell
from search.evaluating.detectors import short_names
from search.reporting import markdown as md
from search.reporting.evaluations import CorpusEvaluation, EvaluatedDetector, Measures

EMPTY = "-"
MOST_ROWS, MOST_DETECTORS = 40, 8
"""Of a table by condition in the terminal."""
EXPLANATION = (
    "EER: equal error rate, with its 95 % bootstrap interval over utterances. min DCF and actual DCF: detection cost "
    "of ASVspoof 5, at the best threshold and at that of its costs. Cllr: cost of log-likelihood ratios in bits, 0 for "
    "perfect scores and 1 for scores that say nothing; min Cllr: after the best calibration. Misses (bona fide speech "
    "rejected), false alarms (spoofs accepted) and their mean, the HTER, are at the detector's own threshold."
)


def pooled_rows(evaluation: CorpusEvaluation, *, narrow: bool = False) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of all utterances, a row for each detector; min t-DCF only where there is one.

    Args:
        evaluation: has the numbers.
        narrow: leave min Cllr out, so that a terminal of 80 columns holds it.
    """
    tandem = any(one.pooled.min_tdcf is not None for one in evaluation.detectors)
    head = ["detector", "parameters", "EER %", "95 % interval", "min DCF", "actual DCF", "Cllr"]
    head += ["min Cllr"] * (not narrow) + ["min t-DCF"] * tandem + ["HTER %", "misses %", "false alarms %"]
    names = short_names([one.detector for one in evaluation.detectors])
    rows = []
    for name, one in zip(names, evaluation.detectors, strict=True):
        found = one.pooled
        costs = [found.min_dcf, found.actual_dcf, found.cllr]
        costs += [found.min_cllr] * (not narrow) + [found.min_tdcf] * tandem
        errors = [percent(rate) for rate in (found.hter, found.misses, found.false_alarms)]
        row = [name, f"{one.size:,}", percent(found.eer), interval(found)]
        rows.append([*row, *map(cost, costs), *errors])
    return head, rows


def condition_rows(
    detectors: Sequence[EvaluatedDetector], names: Sequence[str], condition: str
) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the EER by a condition, a row for each value; counts are those of the first detector."""
    head = [condition, "bona fide", "spoofs", *(f"{name}: EER %" for name in names)]
    rows = []
    for value, first in detectors[0].by[condition].items():
        found = [percent(one.by[condition][value].eer) for one in detectors]
        rows.append([value, f"{first.bonafide:,}", f"{first.spoof:,}", *found])
    return head, rows


def show(evaluation: CorpusEvaluation, console: Console) -> None:
    """Print tables, with a line where they leave something out."""
    _print(console, *pooled_rows(evaluation, narrow=True))
    names = short_names([one.detector for one in evaluation.detectors])
    best = sorted(range(len(names)), key=lambda place: evaluation.detectors[place].pooled.eer or 0.0)
    shown = sorted(best[:MOST_DETECTORS])
    for condition in evaluation.detectors[0].by:
        head, rows = condition_rows(
            [evaluation.detectors[place] for place in shown], [names[place] for place in shown], condition
        )
        _print(console, head, rows[:MOST_ROWS])
        left_out = [f"{len(rows) - MOST_ROWS:,} more values"] * (len(rows) > MOST_ROWS)
        left_out += [f"{len(names) - len(shown)} detectors with a higher EER"] * (len(shown) < len(names))
        if left_out:
            console.print(cell(f"{condition}: {' and '.join(left_out)} are in the files of --to"), soft_wrap=True)


def markdown(evaluation: CorpusEvaluation, notes: Sequence[str]) -> str:
    """The evaluation as Markdown: what was evaluated, errors pooled and by condition, what they mean."""
    corpus, names = evaluation.corpus, short_names([one.detector for one in evaluation.detectors])
    subset = f", subset {md.escape(corpus.subset)}" if corpus.subset else ""
    first = evaluation.detectors[0].pooled
    lines = [f"# Detectors on {md.escape(corpus.name)}, {corpus.split}{subset}", ""]
    if corpus.note:
        lines += [f"> {md.escape(corpus.note)}", ""]
    lines += [
        f"{first.bonafide:,} bona fide utterances and {first.spoof:,} spoofs have a score. Corpus digest "
        f"`{corpus.digest}`; windows of a recording that count: {evaluation.windows}.",
        "",
        *md.table(*pooled_rows(evaluation)),
        "",
        EXPLANATION,
        "",
        *(f"- {md.escape(note)}" for note in notes),
        *[""] * bool(notes),
        "![DET curves](det.png)",
        "",
    ]
    for condition in evaluation.detectors[0].by:
        head, rows = condition_rows(evaluation.detectors, names, condition)
        lines += [f"## By {md.escape(condition)}", "", *md.table(head, rows), ""]
    return "\n".join(lines)


def percent(rate: float | None) -> str:
    """A rate in percent."""
    return EMPTY if rate is None else f"{100 * rate:.2f}"


def cost(value: float | None) -> str:
    """A cost."""
    return EMPTY if value is None else f"{value:.4f}"


def interval(found: Measures) -> str:
    """The interval of the EER in percent."""
    return EMPTY if found.interval is None else " to ".join(percent(end) for end in found.interval)


def _print(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where it is too wide, with a word a line, and else the terminal breaks the lines.

    Rich would leave the last columns out.
    """
    wide = console.options.update_width(10_000)
    for table in (_table(head, rows, padding=1), _table(*_broken(head, rows), padding=0)):
        needed = Measurement.get(console, wide, table).maximum
        if needed <= console.width:
            console.print(table)
            return
    before, console.width = console.width, needed
    console.print(table)
    console.width = before


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, padding: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, padding), collapse_padding=True, pad_edge=False)
    for place, name in enumerate(head):
        table.add_column(_lines(name), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(_lines, row))
    return table


def _broken(head: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The texts of a table with lines as long as the longest word of their column."""
    columns = [
        [textwrap.fill(text, max(len(word) for one in column for word in one.split()) or 1) for text in column]
        for column in zip(head, *rows, strict=True)
    ]
    broken = [list(row) for row in zip(*columns, strict=True)]
    return broken[0], broken[1:]


def _lines(text: str) -> Text:
    return Text("\n").join(map(cell, text.split("\n")))
