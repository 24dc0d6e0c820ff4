"""Tables: whatever a spreadsheet, pandas or an editor made of them, the same columns and rows come out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.corpus import CorpusError
from trainables.corpora.reading.listing import Listing
from trainables.corpora.reading.tables import Table, read_table

PLAIN = "path,label\na.wav,bonafide\nb.wav,spoof\n"
COLUMNS = ("path", "label")
ROWS = [["a.wav", "bonafide"], ["b.wav", "spoof"]]
FORMS = {
    "plain": PLAIN.encode(),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "Windows": PLAIN.replace("\n", "\r\n").encode(),
    "old Mac": PLAIN.replace("\n", "\r").encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "blank lines": b"\n\n" + PLAIN.replace("\n", "\n\n").encode() + b"  \n,\n",
    "blanks around": b" path , label\n a.wav , bonafide \nb.wav,spoof",
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "bars": PLAIN.replace(",", "|").encode(),
    "quotes": b'"path","label"\n"a.wav","bonafide"\n"b.wav","spoof"\n',
    "empty values at the end": b"path,label\na.wav,bonafide,,\nb.wav,spoof,\n",
}


def table_of(path: Path) -> Table:
    """A table without faults."""
    listing = Listing("test", path.parent)
    table = read_table(listing, path)
    listing.corpus(required=())
    assert table is not None
    return table


def faults_of(path: Path) -> tuple[str, ...]:
    listing = Listing("test", path.parent)
    read_table(listing, path)
    with pytest.raises(CorpusError) as info:
        listing.corpus(required=())
    return info.value.faults


@pytest.mark.parametrize("form", FORMS)
def test_text_in_any_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(FORMS[form])
    table = table_of(path)
    assert (table.columns, [row for _, row in table.rows]) == (COLUMNS, ROWS)


def test_lines_are_those_of_an_editor_also_after_quoted_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('\npath,note\na.wav,"two\nlines, and a comma"\n\nb.wav,"say ""hi"""\n')
    assert table_of(path).rows == [(3, ["a.wav", "two\nlines, and a comma"]), (6, ["b.wav", 'say "hi"'])]


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"])), min_size=2, max_size=2)))
def test_what_a_csv_writer_writes_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    assert [row for _, row in table_of(path).rows] == [row for row in rows if any(row)]


def test_json_lines_and_parquet_are_read_as_their_text(tmp_path: Path) -> None:
    objects: list[dict[str, object]] = [
        {"path": "a.wav", "label": 1, "level": 0.5, "tags": ["x"]},
        {"path": "b.wav", "label": None, "whole": 2.0, "level": float("nan"), "known": True},
    ]
    lines = tmp_path / "t.jsonl"
    lines.write_text("\ufeff" + "\n\n".join(map(json.dumps, objects)), encoding="utf-8")
    table = table_of(lines)
    assert table.columns == ("path", "label", "level", "whole", "known")
    assert table.rows == [(1, ["a.wav", "1", "0.5", "", ""]), (3, ["b.wav", "", "", "2", "True"])]
    parquet = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{**one, "tags": one.get("tags")} for one in objects]), parquet)
    again = table_of(parquet)
    assert again.columns == ("path", "label", "level")  # those of the first row; a list is no value of a table
    assert again.rows == [(1, ["a.wav", "1", "0.5"]), (2, ["b.wav", "", ""])]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("t.xlsx", b"PK", "must be a table; got the suffix '.xlsx': rename it to one of .csv"),
        ("t.csv", b"a,b\n1\n2,3\n4,5,6\n", "t.csv:2: 1 values; the header has 2"),
        ("t.csv", b'a,b\n1,2\n"3,4\n5,6\n', "t.csv:3: is not a table from here on"),
        ("t.csv", b"a,b,a\n1,2,3\n", "t.csv:1: names of columns must differ; got 'a' more than once"),
        ("t.csv", b"a,b\n1,\xe4\n", "t.csv:2: text must be UTF-8"),
        ("t.json", b'[{"a": 1}]', "t.json:1: must be JSON lines, an object in each line; got [{"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "t.jsonl:2: must be JSON lines"),
        ("t.parquet", b"PAR1", "t.parquet: is not a Parquet file"),
    ],
)
def test_what_is_no_table_is_a_fault_with_its_line(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert fault in faults_of(tmp_path / name)[0]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_a_fault(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("table")
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        (folder / name).write_bytes(content)
        listing = Listing("test", folder)
        table = read_table(listing, folder / name)
        assert table is None or all(len(row) == len(table.columns) for _, row in table.rows)
        if table is None:
            with pytest.raises(CorpusError):
                listing.corpus(required=())
