"""Tallies of files by class."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.tally import Tally, line, tallies, unequal_loss


def test_what_was_read_and_left_out_by_class() -> None:
    counts = tallies([1, 0, 0], [(0, "is empty"), (0, "is empty"), (0, "is missing"), (1, ".m4a")])
    assert counts == {"bona fide": Tally(1, {".m4a": 1}), "spoof": Tally(2, {"is empty": 2, "is missing": 1})}
    assert (counts["spoof"].found, counts["spoof"].lost) == (5, Fraction(3, 5))
    assert line("dev", counts) == (
        "dev: bona fide 2 found, 1 read, 1 left out (1 .m4a); "
        "spoof 5 found, 2 read, 3 left out (2 is empty; 1 is missing)"
    )


def test_nothing_lost_of_nothing() -> None:
    assert Tally(0).lost == 0
    assert str(Tally(0)) == "0 found, 0 read"
    assert str(Tally(12345)) == "12,345 found, 12,345 read"


@pytest.mark.parametrize(
    ("lost", "fault"), [((0, 0), False), ((1, 0), False), ((2, 1), False), ((2, 0), True), ((0, 100), True)]
)
def test_a_difference_of_more_than_a_hundredth_is_a_fault(lost: tuple[int, int], fault: bool) -> None:
    counts = {name: Tally(100 - gone, {"x": gone}) for name, gone in zip(("bona fide", "spoof"), lost, strict=True)}
    assert (unequal_loss(counts) is not None) == fault


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 50))
def test_equal_shares_are_none_whatever_the_numbers(gone: int, read: int, times: int) -> None:
    counts = {"bona fide": Tally(read, {"x": gone}), "spoof": Tally(read * times, {"y": gone * times})}
    assert unequal_loss(counts) is None
    assert unequal_loss({**counts, "spoof": Tally(read * times)}) is None or counts["bona fide"].lost > Fraction(1, 100)


def test_the_fault_names_shares_and_cure() -> None:
    fault = unequal_loss({"bona fide": Tally(10), "spoof": Tally(1, {".m4a": 9})})
    assert fault is not None
    assert "0.0% of bona fide and 90.0% of spoof are left out: convert these files" in fault
