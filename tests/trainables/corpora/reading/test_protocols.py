"""Names in protocols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.reading.protocols import bare_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("LA_T_1", "LA_T_1"),
        ("LA_T_1.flac", "LA_T_1"),
        ("LA_T_1.FLAC", "LA_T_1"),
        ("flac/LA_T_1", "LA_T_1"),
        ("flac\\LA_T_1.wav", "LA_T_1"),
        ("a.b", "a.b"),
        ("a.b.mp3", "a.b"),
        (".wav", ".wav"),
        ("", None),
        (".", None),
        ("..", None),
        ("../x", None),
        ("./x", None),
        ("/x", None),
        ("\\x", None),
        ("x/", None),
        ("x/..", None),
        ("a/b/c", None),
        ("a\\b/c", None),
        ("a\0b", None),
        ("a\0/b", None),
    ],
)
def test_names_without_folder_and_suffix(text: str, name: str | None) -> None:
    assert bare_name(text) == name


@given(st.text(st.sampled_from("./\\a\0é"), max_size=8))
def test_no_name_is_a_path(text: str) -> None:
    name = bare_name(text)
    assert name is None or (name not in ("", ".", "..") and not set(name) & set("/\\\0") and text.find(name) >= 0)
