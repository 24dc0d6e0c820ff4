"""The journal that Optuna's storage keeps of a run's study: one file, which one process writes.

Optuna's own file backend takes a lock and syncs the file for every line, since several processes may write. Here only
the search writes, and what ended is in the trial log, which is synced. The lines are the same, so Optuna's own backend
and its dashboard read the file.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from search.runs.append_only import AppendOnlyFile
from trainables.errors import DropinError

WRONG = (
    LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError, OptunaError
)  # fmt: skip
"""What Optuna raises at lines that are no logs of its."""


class Damaged(DropinError):
    """A journal that cannot be read: which rule it breaks, and its value. Whoever reads it says what to do next."""


class SingleWriterBackend(BaseJournalBackend):
    """Logs in a file that nobody else writes.

    Optuna's storage reads back whatever it has written. That is kept until it has, so that the file is read once.

    Attributes:
        file: what writes it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; a last line that was cut off is removed."""
        self.file = AppendOnlyFile(path)
        path.touch()
        self._path = path
        with path.open("rb") as file:
            self._first_kept = sum(1 for _ in file)
        self._kept: list[dict[str, Any]] = []

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write logs, one line each."""
        for log in logs:
            self.file.append(json.dumps(log, separators=(",", ":")))
        self._kept.extend(logs)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The logs from this number on, counted from 0 at the head of the file.

        Raises:
            Damaged: a line is no JSON object.
        """
        if log_number_from < self._first_kept:
            yield from _logs(self._path, log_number_from)
            return
        del self._kept[: log_number_from - self._first_kept]
        self._first_kept = log_number_from
        yield from tuple(self._kept)


class ReadingBackend(BaseJournalBackend):
    """Logs in a file that is only read, without a last line that was cut off."""

    def __init__(self, path: Path) -> None:
        """Of this file, which is there."""
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuse: the file is another run's."""
        raise AssertionError("a journal that is only read is not written")

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The logs from this number on, counted from 0 at the head of the file.

        Raises:
            Damaged: a line is no JSON object.
        """
        return _logs(self._path, log_number_from)


def storage_of(backend: BaseJournalBackend, path: Path) -> JournalStorage:
    """Optuna's storage of a journal.

    Raises:
        Damaged: its lines are not what Optuna wrote.
    """
    try:
        return JournalStorage(backend)
    except Damaged:
        raise
    except WRONG as error:
        raise Damaged(f"{path} must hold what Optuna wrote; got {error!r:.200}") from error


def set_aside(path: Path) -> Path:
    """Rename a journal that cannot be read; returns its new path, ``study.journal.damaged-1`` or the next free one."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    free = next(name for name in names if not name.exists())
    os.rename(path, free)
    return free


def _logs(path: Path, begin: int) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in islice(enumerate(file), begin, None):
            if not line.endswith(b"\n"):
                return
            yield _parse(path, number, line)


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        log = json.loads(line)
    except (ValueError, RecursionError):
        log = None
    if not isinstance(log, dict):
        raise Damaged(f"{path}, line {number + 1} must be a JSON object; got {line!r:.80}")
    return log
