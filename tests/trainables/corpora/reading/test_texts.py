"""Encodings of text files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutations import outcome
from trainables.corpora.reading.texts import NotTextError, decoded

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0\ufeff"))


@given(TEXTS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_text_comes_back_from_every_encoding(text: str, encoding: str, line_end: str) -> None:
    assert decoded(text.replace("\n", line_end).encode(encoding)) == text


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a\nb\xe9 c\n", 2),
        (b"\xef\xbb\xbfa\r\nb\r\n\xff", 3),
        (b"\xe9", 1),
        ("a\nb".encode("utf-16") + b"\n", 2),
        ("a\nb".encode("utf-16-le"), None),
        ("a\nb".encode("utf-16-be"), None),
    ],
)
def test_other_encodings_are_told_with_the_line(content: bytes, line: int | None) -> None:
    with pytest.raises(NotTextError, match=r"text must be UTF-.*: save the file as UTF-8") as info:
        decoded(content)
    assert info.value.line == line


@given(st.binary(max_size=60))
def test_any_bytes_are_text_or_a_fault(content: bytes) -> None:
    found = outcome(decoded, content)
    assert isinstance(found, (str, NotTextError))
