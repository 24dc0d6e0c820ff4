"""The command that asks how sure a front is: ``python -m search.confirm RUN --seeds 3 --controls``.

Everything that a member of the front came from is done again with fresh seeds: base, growth, order of training. Beside
the members it can carry out what they should be compared with, with the same seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from search.cluster.origin import check_origin

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Confirm a run's front from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when something failed, 2 when the command line is wrong, 130 when interrupted; a second call goes on.
    """
    try:
        check_origin()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    # Only now: these import trainables and spaces, which the check above has vouched for.
    from search.display import terminal
    from search.driver import supervisor
    from search.runs.members import StoredRun
    from search.settings import values
    from search.settings.command_line import Parser
    from trainables.errors import DropinError

    terminal.prepare()
    parser = Parser(
        "search.confirm",
        "Train a front's members anew with fresh seeds; median and spread of their EER on dev and eval.",
    )
    parser.add_argument("run", type=values.PATH_OR_URI.parsed, metavar="RUN", help="folder or URI of a run")
    parser.add_argument(
        "--seeds", type=values.whole(1).parsed, default=3, metavar="N", help="fresh seeds (default: %(default)s)"
    )
    parser.add_argument(
        "--controls", action="store_true", help="also the paper's plan, no growth, static replay and LoRA, beside each"
    )
    given = parser.parse_args(arguments)
    try:
        run = StoredRun.find(given.run)
    except DropinError as error:
        terminal.print_error(error)
        return 2
    outcome = supervisor.confirm(run, given.seeds, controls=given.controls)
    if outcome.error is not None and not outcome.begun:
        terminal.print_error(outcome.error)
        return 2
    return INTERRUPTED if outcome.interrupted else int(outcome.error is not None or bool(outcome.missing_files))


if __name__ == "__main__":
    sys.exit(main())
