"""The journal that Optuna's storage keeps of a run's study: one file, which one process writes.

Optuna's own file backend takes a lock and syncs the file for every line, since several processes may write. Here only
the search writes, and what ended is in the trial log, which is synced. The lines are the same, so Optuna's own backend
and its dashboard read the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from search.runs.append_only import AppendOnlyFile
from trainables.errors import DropinError


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
            DropinError: a line is no JSON object.
        """
        if log_number_from < self._first_kept:
            with self._path.open("rb") as file:
                for number, line in islice(enumerate(file), log_number_from, None):
                    yield self._parse(number, line)
            return
        del self._kept[: log_number_from - self._first_kept]
        self._first_kept = log_number_from
        yield from tuple(self._kept)

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
        except ValueError:
            log = None
        if not isinstance(log, dict):
            raise DropinError(
                f"{self._path}, line {number + 1} must be a JSON object; got {line!r:.200}: remove the line"
            )
        return log
