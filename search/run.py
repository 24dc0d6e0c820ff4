"""The command that searches: ``python -m search.run --space plasticity``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from search.cluster.origin import check_origin

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0 when there is a front, 1 when there is none, something failed, or files are not in the bucket, 2 when the
        search cannot begin, as the project's packages are mixed up with others or ``--warm-start`` names what this run
        cannot learn from, 130 when interrupted before the trials.

    Raises:
        SystemExit: with code 2 and a message when the command line is wrong.
    """
    try:
        check_origin()
        # Only now: these import trainables and spaces, which the check above has vouched for.
        from search.display import terminal
        from search.driver import supervisor
        from search.settings import command_line, start

        terminal.prepare()
        settings = command_line.read(arguments)
        outcome = supervisor.search(settings)
    except ValueError as error:  # of the check, or a DropinError
        print(error, file=sys.stderr)
        return 2
    if outcome.error is not None and not outcome.begun:
        if not command_line.resumes(arguments):
            start.give_up(settings)
        terminal.print_error(outcome.error)
        return 2
    if outcome.interrupted:
        return INTERRUPTED
    return int(not outcome.front or outcome.error is not None or bool(outcome.missing_files))


if __name__ == "__main__":
    sys.exit(main())
