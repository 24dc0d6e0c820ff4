"""The command that shows a run: ``python -m search.report RUN``. One HTML page, which can be mailed as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from search.api.runs import open_run
from search.display import terminal
from search.display.terminal import print_error, print_text
from search.page.target import check_target
from search.settings import values
from search.settings.command_line import Parser
from trainables.errors import DropinError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a run from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when the report cannot be made, 2 when the command line is wrong.
    """
    terminal.prepare()
    given = _parser().parse_args(arguments)
    try:
        run = open_run(given.run)
        if given.to is not None:
            check_target(given.to)
        if given.picture is not None:
            check_target(given.picture, "--picture", ".png")
    except DropinError as error:
        print_error(error)
        return 2
    try:
        target = run.report(given.to, front=given.front, evaluations=given.evaluation, picture=given.picture)
    except (DropinError, OSError) as error:
        print_error(error)
        return 1
    print_text(f"report: {target}, {target.stat().st_size / 1e6:.1f} MB; any browser shows it, without a network")
    if given.picture is not None:
        print_text(f"picture: {given.picture}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "search.report", "Write a page about a run, finished or not: front, trials, controls, time and cost."
    )
    parser.add_argument(
        "run", type=values.PATH_OR_URI.parsed, metavar="RUN", help="folder or URI of a run, finished or not"
    )
    parser.add_argument(
        "--to",
        type=values.PATH.parsed,
        metavar="FILE.html",
        help="the page; one that is there is replaced (default: report.html in the run's folder)",
    )
    parser.add_argument(
        "--front", type=values.PATH.parsed, metavar="DIR", help="an export of the run, for EER on eval and by attack"
    )
    parser.add_argument(
        "--evaluation",
        type=values.PATH.parsed,
        metavar="DIR",
        nargs="+",
        action="extend",
        default=[],
        help="folders that search.evaluate wrote for detectors of --front: EER on other corpora beside dev and eval",
    )
    parser.add_argument(
        "--picture",
        type=values.PATH.parsed,
        metavar="FILE.png",
        help="also draw the front of --front with its EER on dev, eval and every other corpus",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
