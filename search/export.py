"""The command that exports a front: ``python -m search.export RUN --to DIR``. The one place where eval is scored."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.display.progress import Display
from search.display.terminal import cell, complain
from search.reporting import cards, export_folder
from search.reporting.front_picture import Caption, draw_front
from search.reporting.measurement import load_scoring_data, score_detector
from search.reporting.plan_words import count_text
from search.reporting.tables import DetectorResult, write_tables
from search.runs.members import Run, members
from search.settings.arguments import path_or_uri
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector, save_detector
from trainables.trial.training import Diverged

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a run's front from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when the run cannot be exported, 2 when the command line is wrong, 130 when interrupted.
    """
    given = _parser().parse_args(arguments)
    target = given.to.expanduser().resolve()
    try:
        run = Run.find(given.run, given.cache)
        export_folder.check(target)
    except ValueError as error:
        complain(error)
        return 2
    root = run.settings.corpus_root if given.corpus_root is None else given.corpus_root.expanduser().resolve()
    cache = run.settings.cache if given.cache is None else given.cache.expanduser().resolve()
    display = Display()
    try:
        with display:
            entries = export(run, target, root=root, cache=cache, skip_bad_files=given.skip_bad_files, display=display)
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 10_000  # a row a line, whoever reads it
        console.print(_summary(entries))
        display.note(f"front: {target / 'front.png'}, {target / 'front.csv'}, {target / 'front.parquet'}")
        display.note(f"next: python -m search.score {target / 'detectors' / '0'} FILES")
        display.note(f"report: python -m search.report {run.folder} --front {target}")
        return 0
    except (ValueError, OSError, Diverged) as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain(f"interrupted; {target} is as it was")
        return INTERRUPTED


def export(
    run: Run, target: Path, *, root: Path | None, cache: Path, skip_bad_files: bool, display: Display
) -> list[DetectorResult]:
    """Score the front and what it is compared with on dev and eval, and write it all to `target`, whole or not at all.

    Args:
        run: finished or not; what there is gets exported.
        target: absolute folder; see `export_folder.check`.
        root: where the run's corpus lies now.
        cache: folder of caches.
        skip_bad_files: leave out up to 1 % of unreadable files, also where the run itself did not.
        display: told how far it is.

    Returns:
        What was written: the front, smallest first, then recipes and base.

    Raises:
        DropinError: no front, another corpus than the run's, or a detector of the front is damaged.
        OSError: the export cannot be written.
    """
    shown = members(run)
    display.fact("run", f"{run.folder}, {_progress(run)}")
    first = load_detector(shown[0].folder)
    data = load_scoring_data(run, first.card, root=root, cache=cache, skip_bad_files=skip_bad_files, display=display)
    about = {"run": run.settings.name, "trials": len(run.records), "corpus": run.corpus["digest"]}
    with export_folder.atomic_folder(target, about) as folder:
        entries, kept = [], {}
        for done, member in enumerate(shown):
            display.work("scoring detectors", done, len(shown))
            measured = score_detector(member, data, display)
            if measured is not None:
                entry, detector = measured
                entries.append(entry)
                if detector is not None and entry.folder is not None:
                    kept[entry.folder] = (entry, detector.card)
                    save_detector(
                        folder / entry.folder,
                        detector.arch,
                        detector.module.state_dict(),
                        cards.card_json(entry, detector.card, run),
                    )
        display.work("scoring detectors", len(shown), len(shown))
        base = next((entry for entry in entries if entry.member.role == "base"), None)
        widths = Architecture.create(run.settings.model, run.settings.model_options).total_widths()
        for place, (entry, card) in kept.items():
            text = cards.card_markdown(entry, card, run, front=len(kept), base=base, base_widths=widths)
            (folder / place / "card.md").write_text(text, encoding="utf-8")
        write_tables(folder, entries)
        # Not those that were stopped: their EER is that of an epoch, not of a detector.
        ended = [r for r in run.records if r.state == "COMPLETE"]
        trials = [(r.size, r.eer) for r in ended if r.size is not None and r.eer is not None]
        draw_front(folder / "front.png", entries, trials, _caption(run, len(kept)))
    return entries


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search.export",
        description="Export the front of a run: tables, a picture, and each detector with its card, scored on eval.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=path_or_uri, metavar="RUN", help="folder or URI of a run, finished or not")
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write; an earlier export there is replaced, anything else is left alone",
    )
    parser.add_argument("--corpus-root", type=Path, metavar="DIR", help="where the run's corpus lies, if it was moved")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of caches (default: the run's)")
    parser.add_argument("--skip-bad-files", action="store_true", help="go on without up to 1 %% of unreadable files")
    return parser


def _progress(run: Run) -> str:
    ended, wanted = len(run.records), run.settings.trials
    return f"{ended} trials ended" if wanted is None or ended >= wanted else f"{ended} of {wanted} trials ended so far"


def _caption(run: Run, front: int) -> Caption:
    settings = run.settings
    facts = f"{_progress(run)}, {front} on the front; {settings.epochs} epochs a trial, seed {settings.seed}"
    title = f"{settings.space}: {settings.model} on {run.corpus['name']}"
    return Caption(title, facts, str(run.corpus.get("note", "")))


def _summary(entries: Sequence[DetectorResult]) -> Table:
    """The front and what it is compared with, for the terminal."""
    table = Table("detector", "parameters", "MACs", "EER dev", "EER eval", "", box=SIMPLE_HEAD)
    for column in table.columns[1:5]:
        column.justify = "right"
    for entry in entries:
        recipe = entry.member.record.recipe if entry.member.record else None
        table.add_row(
            cell(entry.folder or entry.member.name),
            f"{entry.size:,}",
            "" if entry.macs is None else count_text(entry.macs),
            f"{100 * entry.eer_dev:.2f} %",
            "" if entry.eer_eval is None else f"{100 * entry.eer_eval:.2f} %",
            cell(recipe) if recipe and entry.folder else "",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
