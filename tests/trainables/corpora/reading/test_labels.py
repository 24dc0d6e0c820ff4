"""Words for the two classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.reading.labels import BONA_FIDE_WORDS, SPOOF_WORDS, read_label


@pytest.mark.parametrize(
    "word", ["bonafide", "BONAFIDE", "bona-fide", "Bona Fide", "bona_fide", "genuine", "REAL", "1"]
)
def test_bona_fide(word: str) -> None:
    assert read_label(word) == 1


@pytest.mark.parametrize("word", ["spoof", "Spoofed", "fake", "FAKE", "deepfake", "Deep-Fake", "0"])
def test_spoof(word: str) -> None:
    assert read_label(word) == 0


@pytest.mark.parametrize("word", ["", "-", "A01", "true", "yes", "2", "10", "bonafides", "not fake", "label"])
def test_other_words_are_no_label(word: str) -> None:
    assert read_label(word) is None


@given(st.sampled_from([*BONA_FIDE_WORDS, *SPOOF_WORDS]), st.randoms())
def test_case_makes_no_difference(word: str, random: object) -> None:
    mixed = "".join(random.choice((str.upper, str.lower))(letter) for letter in word)  # type: ignore[attr-defined]
    assert read_label(mixed) == read_label(word) == int(word in BONA_FIDE_WORDS)
