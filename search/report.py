"""The command that shows a run: ``python -m search.report RUN``. One HTML page, which can be mailed as it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from search.display.terminal import complain, say
from search.runs import run_folder
from search.runs.members import Run
from search.settings.arguments import path_or_uri
from trainables.errors import DropinError

PAGE = "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a run from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when the report cannot be made, 2 when the command line is wrong.
    """
    given = _parser().parse_args(arguments)
    try:
        run = Run.find(given.run)
        target = run.folder / PAGE if given.to is None else given.to.expanduser().resolve()
        check(target)
    except ValueError as error:
        complain(error)
        return 2
    # Only now: torch and Optuna take a while, and a wrong path is told at once.
    from search.page.document import document
    from search.page.report_data import ReportData

    try:
        page = document(ReportData.from_run(run, given.front))
        target.parent.mkdir(parents=True, exist_ok=True)
        run_folder.write_text(target, page)
    except (ValueError, OSError) as error:
        complain(error)
        return 1
    say(f"report: {target}, {len(page.encode()) / 1e6:.1f} MB; any browser shows it, without a network")
    return 0


def check(target: Path) -> None:
    """Make sure that a page may be written to `target`: it is called so, and no folder is there.

    Raises:
        DropinError: it is not.
    """
    if target.suffix != ".html":
        raise DropinError(f"--to must be a file that ends in .html; got {target}: name it so, or leave --to out")
    if target.is_dir():
        raise DropinError(f"--to must be a file; {target} is a folder: name a file in it")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search.report",
        description="Write a page about a run, finished or not: its front, trials, controls, course and cost.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=path_or_uri, metavar="RUN", help="folder or URI of a run, finished or not")
    parser.add_argument(
        "--to", type=Path, metavar="FILE.html", help=f"the page; one that is there is replaced (default: RUN/{PAGE})"
    )
    parser.add_argument(
        "--front", type=Path, metavar="DIR", help="an export of the run, for EER on eval and attack by attack"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
