"""DCF of ASVspoof 5: hand-worked cases, the organisers' figures, scikit-learn as an oracle, and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, det_curve

import organisers
from trainables.metrics.dcf import THRESHOLD, actual_dcf, min_dcf

scores = st.lists(st.one_of(st.integers(-3, 3), st.floats(-50, 50)), min_size=1, max_size=20)


def test_the_threshold_is_that_of_the_evaluation_plan() -> None:
    assert pytest.approx(-np.log(1.9)) == THRESHOLD


@pytest.mark.parametrize(
    ("bonafide", "spoof", "least", "actual"),
    [
        ([1, 2], [-2, -1], 0.0, 0.0),
        ([-2, -1], [1, 2], 1.0, 2.9),  # upside down: 1.9 for all bona fide missed, 1 for all spoofs accepted
        ([0, 0], [0, 0], 1.0, 1.0),  # everything is accepted
        ([-9, -9], [-9, -9], 1.0, 1.9),  # everything is rejected: 0.95 / 0.5
        # One bona fide in 10 below all spoofs: rejecting it with the spoofs costs 1.9 / 10; 0 is above the threshold.
        ([-3, *[3] * 9], [-1, 0], 0.19, 0.19 + 0.5),
        ([THRESHOLD, 5], [THRESHOLD - 1e-9, -5], 0.0, 0.0),  # a score at the threshold is accepted
    ],
)
def test_hand_worked(bonafide: list[float], spoof: list[float], least: float, actual: float) -> None:
    assert min_dcf(bonafide, spoof) == pytest.approx(least)
    assert actual_dcf(bonafide, spoof) == pytest.approx(actual)


@pytest.mark.parametrize("counts", organisers.FIGURES)
def test_the_organisers_figures(counts: tuple[int, int]) -> None:
    bonafide, spoof = organisers.detector(*counts)
    assert min_dcf(bonafide, spoof) == pytest.approx(organisers.FIGURES[counts]["min_dcf"], abs=1e-9)
    assert actual_dcf(bonafide, spoof) == pytest.approx(organisers.FIGURES[counts]["actual_dcf"], abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_agrees_with_scikit_learn(bonafide: list[float], spoof: list[float]) -> None:
    labels, found = [1] * len(bonafide) + [0] * len(spoof), np.array([*bonafide, *spoof])
    false_alarm, miss, _ = det_curve(labels, found)
    # Its curve leaves out that everything may be rejected, or accepted.
    assert min_dcf(bonafide, spoof) == pytest.approx(min([*(1.9 * miss + false_alarm), 1.9, 1.0]), abs=1e-12)
    (rejected, accepted), (missed, kept) = confusion_matrix(labels, found >= THRESHOLD, labels=[0, 1])
    expected = 1.9 * missed / (missed + kept) + accepted / (accepted + rejected)
    assert actual_dcf(bonafide, spoof) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_bounds_and_order(bonafide: list[float], spoof: list[float]) -> None:
    least, actual = min_dcf(bonafide, spoof), actual_dcf(bonafide, spoof)
    assert 0 <= least <= min(actual, 1) + 1e-12
    assert actual <= 2.9 + 1e-12
    assert (least, actual) == (min_dcf(bonafide[::-1], spoof[::-1]), actual_dcf(bonafide[::-1], spoof[::-1]))
    _, place = np.unique([*bonafide, *spoof], return_inverse=True)
    assert min_dcf(place[: len(bonafide)], place[len(bonafide) :]) == least, "only the order of scores counts"


@pytest.mark.parametrize(("bonafide", "spoof"), [([], [1.0]), ([1.0], []), ([np.nan], [0.0]), ([1.0], [np.inf])])
def test_bad_scores_are_refused(bonafide: list[float], spoof: list[float]) -> None:
    for cost in (min_dcf, actual_dcf):
        with pytest.raises(ValueError, match="scores must be"):
            cost(bonafide, spoof)
