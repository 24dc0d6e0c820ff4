"""Cllr: hand-worked cases, the organisers' figures, scikit-learn as an oracle, and what must hold for any scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

import organisers
from trainables.metrics.cllr import cllr, min_cllr

scores = st.lists(st.one_of(st.integers(-3, 3), st.floats(-50, 50)), min_size=1, max_size=20)


def entropy(shares: np.ndarray, labels: np.ndarray) -> float:
    """Cross-entropy in bits with half of the weight on each class, by scikit-learn."""
    weights = np.where(labels == 1, 1 / (labels == 1).sum(), 1 / (labels == 0).sum())
    return float(log_loss(labels, shares, sample_weight=weights)) / np.log(2)


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected", "least"),
    [
        ([0], [0, 0], 1.0, 1.0),
        ([np.log(3)], [-np.log(3)], np.log2(4 / 3), 0.0),
        ([-np.log(3)], [np.log(3)], 2.0, 1.0),  # log2(1 + 3) on both sides; no rising map does better than 0
        ([800], [-800], 0.0, 0.0),
        ([-1000], [-1000], 500 / np.log(2), 1.0),  # without overflow
        # Two of three bona fide are above all; the third shares its score with one of two spoofs, the other lies below.
        # There the share of bona fide is (1/3) / (1/3 + 1/2) = 2/5.
        ([2, 3, 0], [0, -1], None, -(np.log2(2 / 5) / 3 + np.log2(3 / 5) / 2) / 2),
    ],
)
def test_hand_worked(bonafide: list[float], spoof: list[float], expected: float | None, least: float) -> None:
    if expected is not None:
        assert cllr(bonafide, spoof) == pytest.approx(expected)
    assert min_cllr(bonafide, spoof) == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("counts", organisers.FIGURES)
def test_the_organisers_figures(counts: tuple[int, int]) -> None:
    assert cllr(*organisers.detector(*counts)) == pytest.approx(organisers.FIGURES[counts]["cllr"], abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_agrees_with_scikit_learn(bonafide: list[float], spoof: list[float]) -> None:
    labels, found = np.array([1] * len(bonafide) + [0] * len(spoof)), np.array([*bonafide, *spoof], dtype=np.float64)
    # Posteriors of LLRs within 30, so that scikit-learn, which clips them, sees what it should.
    near = found / 2
    assert cllr(near[labels == 1], near[labels == 0]) == pytest.approx(entropy(1 / (1 + np.exp(-near)), labels))
    _, place = np.unique(found, return_inverse=True)
    weights = np.where(labels == 1, 1 / len(bonafide), 1 / len(spoof))
    shares = IsotonicRegression().fit(place, labels, weights).predict(place)
    assert min_cllr(bonafide, spoof) == pytest.approx(entropy(shares, labels), abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_bounds_and_order(bonafide: list[float], spoof: list[float]) -> None:
    cost, least = cllr(bonafide, spoof), min_cllr(bonafide, spoof)
    assert 0 <= least <= min(cost, 1) + 1e-12
    assert least == pytest.approx(min_cllr(bonafide[::-1], spoof[::-1]), abs=1e-12)
    _, place = np.unique([*bonafide, *spoof], return_inverse=True)
    assert min_cllr(place[: len(bonafide)], place[len(bonafide) :]) == pytest.approx(least, abs=1e-12)
    for slope, intercept in ((0.3, 0.0), (1.0, -1.0), (4.0, 2.0)):
        moved = (slope * np.array(one) + intercept for one in (bonafide, spoof))
        assert cllr(*moved) >= least - 1e-12


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_turning_classes_and_scores_over_changes_nothing(bonafide: list[float], spoof: list[float]) -> None:
    turned = -np.array(spoof), -np.array(bonafide)
    assert cllr(*turned) == pytest.approx(cllr(bonafide, spoof), abs=1e-12)
    assert min_cllr(*turned) == pytest.approx(min_cllr(bonafide, spoof), abs=1e-12)


@pytest.mark.parametrize(("bonafide", "spoof"), [([], [1.0]), ([1.0], []), ([np.nan], [0.0]), ([1.0], [np.inf])])
def test_bad_scores_are_refused(bonafide: list[float], spoof: list[float]) -> None:
    for cost in (cllr, min_cllr):
        with pytest.raises(ValueError, match="scores must be"):
            cost(bonafide, spoof)
