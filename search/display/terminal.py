"""Text for the terminal and the run's log, in which control characters are escaped, whoever it comes from."""

from __future__ import annotations

import io
import logging
import os
import shlex
import sys
from typing import TextIO

from rich.text import Text

from trainables.printable import printable


def prepare() -> None:
    """Make stdout and stderr last as long as the command.

    Characters that their encoding does not have are escaped. When nobody reads them any more, as in ``| head`` or when
    the terminal was closed, what is written is dropped: that ends the display and not the command.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, LastingStream(stream))


class LastingStream(io.TextIOBase):
    """A text stream that drops what is written once that fails."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`, which has a file descriptor."""
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            self._stream.write(text)
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The file descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """It is."""
        return True

    def _drop(self) -> None:
        """From now on write to nowhere; also what the stream still has in its buffer when the process ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def command(module: str, *words: object) -> str:
    """A command line of this project as a shell takes it, whatever is in its paths."""
    return shlex.join(["python", "-m", module, *map(str, words)])


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
