"""The command that exports a front: ``python -m search.export RUN --to DIR``. It scores dev and eval."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.api.runs import Run
from search.display import terminal
from search.display.progress import Display
from search.display.terminal import cell, command, print_error
from search.reporting import export_folder
from search.reporting.plan_words import count_text
from search.reporting.tables import DetectorResult
from search.settings import values
from search.settings.command_line import Parser
from trainables.errors import DropinError
from trainables.trial.training import Diverged

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a run's front from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when the run cannot be exported, 2 when the command line is wrong, 130 when interrupted.
    """
    terminal.prepare()
    given = _parser().parse_args(arguments)
    target = given.to
    try:
        run = Run.find(given.run, given.cache)
        export_folder.check(target)
    except DropinError as error:
        print_error(error)
        return 2
    display = Display()
    try:
        entries = run.export(
            target,
            corpus_root=given.corpus_root,
            cache=given.cache,
            skip_bad_files=given.skip_bad_files,
            calibration_prior=given.calibration_prior,
            display=display,
        )
    except (ValueError, OSError, Diverged) as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print_error(f"interrupted; {target} is as it was")
        return INTERRUPTED
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # a row a line, whoever reads it
    console.print(_summary(entries))
    display.message(f"front: {target / 'front.png'}, {target / 'front.csv'}, {target / 'front.parquet'}")
    display.message(f"next: {command('search.score', target / 'detectors' / '0', 'FILES')}")
    display.message(f"report: {command('search.report', run.folder, '--front', target)}")
    display.message(f"elsewhere: {command('search.evaluate', target, '--corpus', 'NAME', '--corpus-root', 'ROOT')}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "search.export",
        "Export the front of a run: tables, a picture, and each detector with its card, scored on eval.",
    )
    parser.add_argument(
        "run", type=values.PATH_OR_URI.parsed, metavar="RUN", help="folder or URI of a run, finished or not"
    )
    parser.add_argument(
        "--to",
        type=values.PATH.parsed,
        required=True,
        metavar="DIR",
        help="folder to write; an earlier export there is replaced, anything else is left alone",
    )
    parser.add_argument(
        "--corpus-root", type=values.PATH.parsed, metavar="DIR", help="where the run's corpus lies, if it was moved"
    )
    parser.add_argument("--cache", type=values.PATH.parsed, metavar="DIR", help="folder of caches (default: the run's)")
    parser.add_argument("--skip-bad-files", action="store_true", help="go on without up to 1 %% of unreadable files")
    parser.add_argument(
        "--calibration-prior",
        type=values.PROBABILITY.parsed,
        default=0.5,
        metavar="P",
        help="prior of bona fide speech for which scores are calibrated on dev and verdicts are given: at 0.5 both "
        "errors weigh the same, a higher one rejects less bona fide speech (default: 0.5)",
    )
    return parser


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
