"""Text for the terminal and the run's log, in which control characters are escaped, whoever it comes from."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from rich.text import Text

from trainables.printable import printable


def print_text(text: object, file: TextIO | None = None) -> None:
    """Print a text, by default on stdout: its lines stay lines, what cannot be seen is escaped."""
    print(printable(text, "\n"), file=file)


def print_error(error: object) -> None:
    """Print an error on stderr, as `say` does."""
    print_text(error, sys.stderr)


def cell(text: object, style: str = "") -> Text:
    """A text that stays in one line of a table and has no markup."""
    return Text(printable(text), style)


class LogFormatter(logging.Formatter):
    """Lines of a log; tracebacks stay what they are, what cannot be seen is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The entry, of one line or several."""
        return printable(super().format(record), "\n\t")
