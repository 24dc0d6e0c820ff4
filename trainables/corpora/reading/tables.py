"""Tables with a header: CSV, TSV, Parquet and JSON lines become columns and rows of text, each with its place."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.corpora.reading.listing import Listing

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson", ".json")
"""Of the files that `read_table` reads, in lower case."""
DELIMITERS = ("\t", ",", ";", "|")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        columns: their names, without blanks around them; unique, but for those without a name.
        rows: number of the line in the file (of the row, from 1, in Parquet) and the values in the order of the
            columns, without blanks around them; empty where there is none.
    """

    columns: tuple[str, ...]
    rows: list[tuple[int, list[str]]]


def read_table(listing: Listing, path: Path) -> Table | None:
    """Read a table by its suffix; in text, columns are separated by tabs, commas, semicolons or ``|``.

    Text is UTF-8, with or without a byte order mark. Blank lines are left out.

    Returns:
        ``None`` after a fault of the whole file; lines that cannot be read are faults of their own.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        listing.fault(path, f"must be a table; got the suffix {suffix!r}: rename it to one of {', '.join(SUFFIXES)}")
        return None
    if suffix == ".parquet":
        return _parquet(listing, path)
    text = listing.read_text(path)
    if text is None:
        return None
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json_lines(listing, path, text)
    return _separated(listing, path, text)


def _separated(listing: Listing, path: Path, text: str) -> Table | None:
    """Text with a header line; lines are counted as in an editor, also within quotes."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda one: (first.count(one), one == ","))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    columns: tuple[str, ...] | None = None
    begins = 1
    try:
        for fields in reader:
            row = [field.strip() for field in fields]
            if columns is None and any(row):
                columns = tuple(row)
            elif any(row):
                rows.append((begins, row))
            begins = reader.line_num + 1
    except csv.Error as error:
        # Nothing behind it is known to be what it seems.
        listing.fault(path, f"is not a table from here on ({error}): close the quotes, or write them twice", begins)
        return None
    return _checked(listing, path, columns or (), rows)


def _checked(listing: Listing, path: Path, columns: Sequence[str], rows: list[tuple[int, list[str]]]) -> Table | None:
    """A table whose rows have as many values as there are columns; other rows are faults."""
    twice = next((name for name, count in Counter(columns).items() if name and count > 1), None)
    if twice is not None:
        listing.fault(path, f"names of columns must differ; got {twice!r} more than once: rename one of them", 1)
        return None
    fit = []
    for number, row in rows:
        if len(row) > len(columns) and not any(row[len(columns) :]):
            row = row[: len(columns)]
        if len(row) == len(columns):
            fit.append((number, row))
        else:
            listing.fault(path, f"{len(row)} values; the header has {len(columns)}: quote values with commas", number)
    return Table(tuple(columns), fit)


def _json_lines(listing: Listing, path: Path, text: str) -> Table | None:
    """An object a line; the columns are all keys that have texts, numbers or booleans."""
    objects: list[tuple[int, dict[str, str]]] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            listing.fault(path, f"must be JSON lines, an object in each line; got {line:.60} ({error})", number)
            if not objects:
                return None  # an array or an object over several lines
            continue
        if not isinstance(value, dict):
            listing.fault(path, f"must be JSON lines, an object in each line; got {line:.60}", number)
            continue
        given = {str(key).strip(): _text(one) for key, one in value.items() if not isinstance(one, (dict, list))}
        columns.update(dict.fromkeys(given))
        objects.append((number, given))
    return Table(tuple(columns), [(number, [one.get(name, "") for name in columns]) for number, one in objects])


def _parquet(listing: Listing, path: Path) -> Table | None:
    import pyarrow as pa  # a slow import that other tables do not need
    import pyarrow.parquet as pq

    if not path.is_file() or not listing.contains(path):
        listing.read_text(path)  # says what is wrong
        return None
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        listing.fault(path, f"is not a Parquet file ({error})")
        return None
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    table = table.drop_columns(nested)
    values = [map(_text, column.to_pylist()) for column in table.columns]
    rows: Iterator[tuple[str, ...]] = zip(*values, strict=True)
    names = [name.strip() for name in table.column_names]
    return _checked(listing, path, names, [(number, list(row)) for number, row in enumerate(rows, 1)])


def _text(value: Any) -> str:
    """A value as a table of text has it: whole numbers without a point, nothing for what is not there."""
    if value is None or value != value:  # NaN, as pandas writes what is missing
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(value).strip()
