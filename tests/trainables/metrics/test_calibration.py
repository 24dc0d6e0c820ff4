"""Calibration: closed forms, scipy's minimiser as an oracle, and what must hold for any scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from trainables.metrics.calibration import LEAST_SLOPE, Calibration, bayes_threshold, fit
from trainables.metrics.cllr import cllr, min_cllr
from trainables.metrics.dcf import THRESHOLD
from trainables.metrics.eer import eer_of

classes = st.lists(st.one_of(st.integers(-3, 3), st.floats(-50, 50)), min_size=1, max_size=20)


def labelled(bonafide: list[float], spoof: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([*bonafide, *spoof], dtype=np.float64), np.array([1] * len(bonafide) + [0] * len(spoof))


def test_two_scores_in_closed_form() -> None:
    """With two scores the line meets both posteriors: (3 * 5/6 + 1 * 1/6) / 4 = 2/3 at 1, and 1/3 at 0."""
    found = fit([1, 1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0])
    assert found.apply([0, 1]).tolist() == pytest.approx([-math.log(2), math.log(2)])


def test_normal_classes_in_closed_form() -> None:
    """Of unit normals at 3 and 1 the LLR is 2 s - 4, whatever the prior and however many there are of each."""
    random = np.random.default_rng(0)
    scores, labels = labelled(random.normal(3, 1, 4000), random.normal(1, 1, 20_000))  # type: ignore[arg-type]
    for prior in (0.05, 0.5, 0.9):
        found = fit(scores, labels, prior)
        assert [found.slope, found.intercept] == pytest.approx([2, -4], rel=0.05)
        ratios = found.apply(scores)
        assert cllr(ratios[labels == 1], ratios[labels == 0]) == pytest.approx(
            min_cllr(ratios[labels == 1], ratios[labels == 0]), abs=0.01
        )


def test_separated_classes_claim_what_their_numbers_can_show() -> None:
    """All utterances of a class at one score: there the LLR is the share of the own class over that of the other."""
    for n_bonafide, n_spoof, prior in ((1, 1, 0.5), (10, 10, 0.5), (10, 1000, 0.5), (10, 1000, 0.05)):
        found = fit(*labelled([7.0] * n_bonafide, [5.0] * n_spoof), prior)
        unseen_bonafide, unseen_spoof = 1 / (n_bonafide + 2), 1 / (n_spoof + 2)
        expected = [math.log(unseen_bonafide / (1 - unseen_spoof)), math.log((1 - unseen_bonafide) / unseen_spoof)]
        assert found.apply([5, 7]).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("bonafide", "spoof"),
    [([1, 2], [3, 4]), ([0, 1], [1, 0]), ([-5.0] * 50, [5.0] * 3)],
)
def test_a_detector_no_better_than_chance_says_nothing_and_keeps_the_order(
    bonafide: list[float], spoof: list[float]
) -> None:
    scores, labels = labelled(bonafide, spoof)
    found = fit(scores, labels)
    assert found.slope == pytest.approx(LEAST_SLOPE / scores.std())
    ratios = found.apply(scores)
    assert np.abs(ratios).max() < 0.01
    assert cllr(ratios[labels == 1], ratios[labels == 0]) == pytest.approx(1, abs=0.01)
    assert eer_of(ratios, labels)[0] == eer_of(scores, labels)[0]


def test_equal_scores_get_the_ratio_0() -> None:
    assert fit([3.0, 3.0, 3.0], [1, 0, 0]).apply([3.0]).tolist() == [0.0]


@settings(deadline=None, max_examples=30)
@given(classes, classes, st.sampled_from([0.05, 0.5, 0.655]))
def test_agrees_with_the_minimum_that_scipy_finds(bonafide: list[float], spoof: list[float], prior: float) -> None:
    """The cross-entropy written down, with slope and intercept free; where the slope is bounded, no line is better."""
    scores, labels = labelled(bonafide, spoof)
    found = fit(scores, labels, prior)
    odds, spread = math.log(prior / (1 - prior)), max(float(scores.std()), 1e-6)
    unseen = 1 / (len(bonafide) + 2), 1 / (len(spoof) + 2)

    def loss(line: tuple[float, float]) -> float:
        posterior = (line[0] * (scores - scores.mean()) / spread + line[1] + odds) * np.where(labels == 1, 1, -1)
        own, other = np.logaddexp(0, -posterior), np.logaddexp(0, posterior)
        means = [(own[labels == key].mean(), other[labels == key].mean()) for key in (1, 0)]
        first = (1 - unseen[0]) * means[0][0] + unseen[0] * means[1][1]
        second = (1 - unseen[1]) * means[1][0] + unseen[1] * means[0][1]
        return float(prior * first + (1 - prior) * second)

    best = minimize(loss, (0.5, 0.0), method="L-BFGS-B", bounds=[(LEAST_SLOPE, None), (None, None)])
    ours = loss((found.slope * spread, found.intercept + found.slope * scores.mean()))
    assert ours <= best.fun + 1e-4


@settings(deadline=None, max_examples=30)
@given(classes, classes)
def test_it_costs_at_most_as_much_as_saying_nothing_and_keeps_the_order(
    bonafide: list[float], spoof: list[float]
) -> None:
    scores, labels = labelled(bonafide, spoof)
    found = fit(scores, labels)
    assert math.isfinite(found.slope)
    ratios = found.apply(scores)
    assert cllr(ratios[labels == 1], ratios[labels == 0]) <= 1.01
    assert (np.diff(ratios[np.argsort(scores)]) >= 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([0.01, 1.0, 30.0]), st.floats(-9, 9))
def test_the_scale_of_scores_does_not_matter(seed: int, slope: float, shift: float) -> None:
    random = np.random.default_rng(seed)
    labels = np.arange(40) % 2
    scores = random.normal(size=40) + labels
    ratios = fit(scores, labels).apply(scores)
    np.testing.assert_allclose(fit(slope * scores + shift, labels).apply(slope * scores + shift), ratios, atol=1e-6)


def test_the_threshold_is_minus_the_logit_of_the_prior() -> None:
    assert (bayes_threshold(0.5), math.copysign(1, bayes_threshold(0.5))) == (0, 1)
    assert bayes_threshold(0.9) == pytest.approx(-math.log(9))
    assert bayes_threshold(0.95 / (0.95 + 0.5)) == pytest.approx(THRESHOLD), "the effective prior of ASVspoof 5"


@pytest.mark.parametrize("prior", [0, 1, -0.5, 1.5, math.nan])
def test_bad_priors_are_refused(prior: float) -> None:
    with pytest.raises(ValueError, match="a prior must be a number between 0 and 1"):
        fit([1, 0], [1, 0], prior)
    with pytest.raises(ValueError, match="a prior must be a number between 0 and 1"):
        bayes_threshold(prior)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [([1.0], [1], "spoof scores"), ([np.nan, 0.0], [1, 0], "must be finite"), ([1.0, 0.0], [1], "one length")],
)
def test_bad_scores_are_refused(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(scores, labels)


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), (-1, 0), (math.inf, 0), (math.nan, 0), (1, math.inf)])
def test_lines_that_do_not_rise_are_refused(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="a finite slope above 0"):
        Calibration(slope, intercept)
