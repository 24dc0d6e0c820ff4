"""Scores as rows: JSON lines, CSV and Parquet, written as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from search.scoring.scored import Scored
from search.scoring.scorer import Scorer
from trainables.errors import DropinError

COLUMNS = pa.schema(
    [
        ("file", pa.string()),
        ("score", pa.float64()),
        ("verdict", pa.string()),
        ("threshold", pa.float64()),
        ("windows", pa.int64()),
        ("error", pa.string()),
        ("note", pa.string()),
    ]
)
ROWS_AT_ONCE = 1000


def row(scorer: Scorer, one: Scored) -> dict[str, Any]:
    """A result as a row of `COLUMNS`; ``None`` for what it does not have."""
    return {
        "file": one.file,
        "score": one.score,
        "verdict": None if one.score is None else scorer.verdict(one.score),
        "threshold": scorer.threshold,
        "windows": len(one.windows),
        "error": one.error,
        "note": "; ".join(filter(None, (*one.notes, scorer.note))) or None,
    }


def json_line(scorer: Scorer, one: Scored) -> str:
    """A result as a line of JSON, in ASCII, without what it does not have."""
    return json.dumps({name: value for name, value in row(scorer, one).items() if value is not None})


class Rows(Protocol):
    """A file that takes rows."""

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write rows."""

    def close(self) -> None:
        """Complete the file."""


class Output:
    """A file of scores, of the kind that its suffix says. A context manager; rows are written as they come."""

    def __init__(self, path: Path, scorer: Scorer) -> None:
        """Write to `path`.

        Raises:
            DropinError: another suffix.
        """
        check_suffix(path)
        self._path, self._scorer = path, scorer
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Output:
        """Make the file, and its folder if there is none.

        Raises:
            DropinError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: Rows = KINDS[self._path.suffix.lower()](self._path)
        except OSError as error:
            raise _not_written(self._path, error) from error
        return self

    def add(self, one: Scored) -> None:
        """Write a result.

        Raises:
            DropinError: there is no space for it.
        """
        self._rows.append(row(self._scorer, one))
        if len(self._rows) >= ROWS_AT_ONCE or self._path.suffix.lower() != ".parquet":
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the file, also when interrupted: it then holds what was scored so far."""
        try:
            self._flush()
        finally:
            try:
                self._file.close()
            except OSError as fault:
                raise _not_written(self._path, fault) from fault

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        try:
            self._file.write(rows)
        except OSError as error:
            raise _not_written(self._path, error) from error


def check_suffix(path: Path) -> None:
    """Check that a file's suffix says what it is to be.

    Raises:
        DropinError: it does not.
    """
    if path.suffix.lower() not in KINDS:
        raise DropinError(f"--to must end in {', '.join(KINDS)}; got {path}")


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by `close`

    def write(self, rows: list[dict[str, Any]]) -> None:
        for one in rows:
            self._file.write(json.dumps({name: value for name, value in one.items() if value is not None}) + "\n")

    def close(self) -> None:
        self._file.close()


class _Csv:
    def __init__(self, path: Path) -> None:
        self._file = open(path, "w", encoding="utf-8", newline="", buffering=1)  # noqa: SIM115 - closed by `close`
        self._writer = csv.DictWriter(self._file, COLUMNS.names)
        self._writer.writeheader()

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._writer.writerows({name: _text(value) for name, value in one.items()} for one in rows)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, COLUMNS)

    def write(self, rows: list[dict[str, Any]]) -> None:
        if rows:
            columns = [{name: _text(value) for name, value in one.items()} for one in rows]
            self._writer.write_table(pa.Table.from_pylist(columns, COLUMNS))

    def close(self) -> None:
        self._writer.close()


KINDS: Mapping[str, Callable[[Path], Rows]] = {".jsonl": _JsonLines, ".csv": _Csv, ".parquet": _Parquet}


def _text(value: object) -> object:
    r"""A value as UTF-8 can hold it: bytes of a file name that are no text are escaped as ``\xff``."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _not_written(path: Path, error: OSError) -> DropinError:
    return DropinError(f"{path} cannot be written ({error.strerror or error}): name another file by --to")
