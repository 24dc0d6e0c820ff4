"""The weighted EER: hand-worked values and what its two terms are for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.metrics.weighted_eer import weighted_eer


@pytest.mark.parametrize(
    ("eer", "size", "size_weight", "expected"),
    [
        (0.10, 100, 0.5, 0.105),  # the size of the base: EER and half an error of 100
        (0.10, 400, 0.5, 0.21),  # four times the size to the power of a half
        (0.10, 50, 1.0, 0.0525),
        (0.00, 100, 0.5, 0.005),
        (0.10, 400, 0.0, 0.105),  # size left out
    ],
)
def test_hand_worked(eer: float, size: int, size_weight: float, expected: float) -> None:
    assert weighted_eer(eer, size, 100, 100, 900, size_weight) == pytest.approx(expected)


def test_the_smaller_class_sets_the_half_error() -> None:
    assert weighted_eer(0, 1, 1, 10, 1000, 0.1) == weighted_eer(0, 1, 1, 1000, 10, 0.1) == pytest.approx(0.05)


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 10**8), st.floats(0.01, 2))
def test_smaller_is_better_at_equal_eer_even_without_an_error(eer: float, size: int, size_weight: float) -> None:
    smaller, larger = (weighted_eer(eer, n, 10**6, 50, 60, size_weight) for n in (size, 2 * size))
    assert 0 < smaller < larger
    assert larger / smaller == pytest.approx(2**size_weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((math.nan, 1, 1, 1, 1, 0.1), "fraction"),
        ((8.3, 1, 1, 1, 1, 0.1), "fraction"),
        ((-0.1, 1, 1, 1, 1, 0.1), "fraction"),
        ((0.1, 0, 1, 1, 1, 0.1), "size must"),
        ((0.1, 1, 0, 1, 1, 0.1), "size_base"),
        ((0.1, 1, 1, 0, 1, 0.1), "n_bonafide"),
        ((0.1, 1, 1, 1, 0, 0.1), "n_spoof"),
        ((0.1, 1, 1, 1, 1, -0.1), "size weight"),
        ((0.1, 1, 1, 1, 1, math.inf), "size weight"),
    ],
)
def test_values_out_of_range_are_refused(arguments: tuple[float, int, int, int, int, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_eer(*arguments)
