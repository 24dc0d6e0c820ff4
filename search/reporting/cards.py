"""The card of an exported detector: a page for people, and the same facts for programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from search.reporting.evaluation import Evaluation
from search.reporting.plan_words import count_text, plan_in_words
from search.reporting.tables import Entry
from search.runs.members import StoredRun
from trainables.printable import printable

NOTHING = "-"


def facts(entry: Entry, card: Mapping[str, Any], run: StoredRun) -> dict[str, Any]:
    """What detector.json says about an exported detector: the card from the run, and what the export measured."""
    record = entry.member.record
    assert record is not None, "only trials are exported"
    return {
        **card,
        "run": run.settings.name,
        "recipe": record.recipe,
        "size": entry.size,
        "macs": entry.macs,
        "dev": entry.dev and asdict(entry.dev),
        "eval": entry.eval and asdict(entry.eval),
    }


def page(
    entry: Entry,
    card: Mapping[str, Any],
    run: StoredRun,
    *,
    front: int,
    base: Entry | None,
    base_widths: Mapping[str, int],
) -> str:
    """The card as Markdown.

    Args:
        entry: the detector, a member of the front.
        card: what the run knows about it.
        run: the run it comes from.
        front: how many members the front has.
        base: the detector that the trial started from, where it could be read.
        base_widths: neurons of the base by site.
    """
    record, settings = entry.member.record, run.settings
    assert record is not None, "only trials are exported"
    name = f" ({record.recipe})" if record.recipe else ""
    lines = [
        f"# Detector {entry.member.name}",
        "",
        f"A {settings.model} that tells bona fide speech from deepfakes: {entry.size:,} parameters, "
        f"{count_text(entry.macs or 0)} multiply-accumulates for {card['seconds']:g} s of audio.",
        f"Trial {record.number}{name} of run {_text(settings.name)}; number {entry.member.name} on its front of "
        f"{front}, counted from 0 for the smallest.",
        "",
        *_warning(run),
        "## Errors",
        "",
        *_errors(entry, base),
        "",
        *_threshold(entry),
        "",
        "Equal error rate by attack, its spoofs against all bona fide utterances:",
        "",
        *_attacks(entry),
        "",
        "## Use",
        "",
        "    python -m search.score FOLDER FILE...",
        "",
        f"with the folder of this card. Any file that libsndfile decodes, any rate; its first {card['seconds']:g} s "
        "count, a shorter one is repeated. The score is the log-odds of bona fide speech. In Python: "
        "`trainables.storage.checkpoint.load_detector(folder)`.",
        "",
        "## Plan",
        "",
        f"From a {settings.model} of {base_size(base)} trained for {settings.base_epochs} epochs:",
        "",
        *(f"- {clause}" for clause in plan_in_words(record.plan)),
        "",
        *_widths(base_widths, record.total_widths),
        "",
        "## Origin",
        "",
        f"- corpus {_text(str(run.corpus['name']))}, digest `{run.corpus['digest']}`",
        f"- seed {card['seed']}, weights of epoch {card['epoch']} of {card['epochs']}, chosen on dev; "
        "eval was scored once, for this card",
        f"- front end {card['front_end']}",
    ]
    return "\n".join(lines) + "\n"


def base_size(base: Entry | None) -> str:
    """The base's size in words."""
    return "unknown size" if base is None else f"{base.size:,} parameters"


def _warning(run: StoredRun) -> list[str]:
    return [f"> {_text(str(run.corpus['note']))}", ""] if run.corpus.get("note") else []


def _errors(entry: Entry, base: Entry | None) -> list[str]:
    rows = [["EER", _percent(entry.eer_dev), _percent(entry.eer_eval)]]
    if entry.dev is not None:
        rows.append(["95 % interval", _interval(entry.dev), NOTHING if entry.eval is None else _interval(entry.eval)])
    costs = [one.min_tdcf if one else None for one in (entry.dev, entry.eval)]
    if costs != [None, None]:
        rows.append(["min t-DCF", *(NOTHING if cost is None else f"{cost:.4f}" for cost in costs)])
    if base is not None:
        rows.append(["EER of the base", _percent(base.eer_dev), _percent(base.eer_eval)])
    return _table(["", "dev", "eval"], rows)


def _interval(found: Evaluation) -> str:
    return " to ".join(_percent(end) for end in found.interval)


def _threshold(entry: Entry) -> list[str]:
    lines = [f"Verdict: bona fide where score >= {entry.threshold:.4f}, the threshold of the EER on dev."]
    if entry.eval is None:
        return [*lines, "The corpus has no eval split, so nothing is known about unseen attacks and speakers."]
    return [
        *lines,
        f"With it, {_percent(entry.eval.misses)} of the bona fide utterances of eval are taken for spoofs "
        f"and {_percent(entry.eval.false_alarms)} of the spoofs for bona fide.",
    ]


def _attacks(entry: Entry) -> list[str]:
    on_dev = entry.dev.by_attack if entry.dev else {}
    on_eval = entry.eval.by_attack if entry.eval else {}
    names = sorted({*on_dev, *on_eval})
    return _table(["attack", "dev", "eval"], [[n, _percent(on_dev.get(n)), _percent(on_eval.get(n))] for n in names])


def _widths(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    changed = [[name, str(before[name]), str(width)] for name, width in after.items() if width != before.get(name)]
    if not changed:
        return ["The detector has the widths of the base."]
    return _table(["site", "neurons of the base", "neurons now"], changed)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(_text(cell) for cell in line)} |" for line in lines]


def _percent(fraction: float | None) -> str:
    return NOTHING if fraction is None else f"{100 * fraction:.2f} %"


def _text(words: str) -> str:
    """Names from a corpus as Markdown shows them, whatever they are made of."""
    plain = re.sub(r"([\\`*_~\[\]|])", r"\\\1", printable(words))
    return plain.replace("&", "&amp;").replace("<", "&lt;")
