"""EER: hand-worked cases, the organisers' figures, scikit-learn's ROC as an oracle, what must hold for any scores."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

import organisers
from trainables.metrics.eer import between, eer, eer_of, error_counts

# Few distinct values, so that ties within and between the classes are the rule.
tied = st.lists(st.integers(-4, 4), min_size=1, max_size=12)
spread = st.lists(st.floats(-50, 50), min_size=1, max_size=30)
either = st.one_of(tied, spread)


# What the packages of ASVspoof 2019, 2021 and 5 gave, all three the same.
FIGURES = [(n, m, row["eer"]) for (n, m), row in organisers.FIGURES.items()]


def one_is_closest(bonafide: list[float], spoof: list[float]) -> bool:
    """Whether no two thresholds are equally close, where turning classes or scores over turns the choice over."""
    _, misses, false_alarms = error_counts(bonafide, spoof)
    gaps = np.abs(misses * len(spoof) - false_alarms * len(bonafide))
    return bool((gaps == gaps.min()).sum() == 1)


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected", "threshold"),
    [
        ([3, 4], [1, 2], 0.0, 3),  # separated: the lowest bona fide score rejects every spoof
        ([1, 2], [3, 4], 1.0, 3),  # upside down: at 3 both bona fide are missed and both spoofs accepted
        ([2, 4, 5, 6], [0, 1, 3, 1], 0.25, 3),  # at 3: 2 is missed, 3 is accepted
        ([1], [0, 2], 0.25, 1),  # (0, 1/2) at 1 and (1, 1/2) at 2 are equally close: the lower threshold counts
        # (1/3, 1/2) at 2 and (2/3, 1/2) at 3 are, but 2/3 - 1/2 in double precision is less than 1/2 - 1/3.
        ([1, 2, 4], [0, 3.5], (2 / 3 + 1 / 2) / 2, 3.5),
        ([7, 7, 7], [7], 0.5, 7),  # nothing to tell apart: accept all
        ([1, 2, 3, 4], [2, 0, 0, 0], 0.25, 2),  # the tie at 2 is accepted: miss 1/4, false alarm 1/4
    ],
)
def test_hand_worked(bonafide: list[int], spoof: list[int], expected: float, threshold: float) -> None:
    assert eer(bonafide, spoof) == (expected, threshold)


def test_error_counts_hand_worked() -> None:
    thresholds, misses, false_alarms = error_counts([1, 3, 3], [0, 1])
    assert thresholds.tolist() == [0, 1, 3, np.inf]
    assert misses.tolist() == [0, 0, 1, 3]
    assert false_alarms.tolist() == [2, 1, 0, 0]


@settings(deadline=None)
@given(either, either)
def test_agrees_with_the_roc_of_scikit_learn(bonafide: list[float], spoof: list[float]) -> None:
    labels = [1] * len(bonafide) + [0] * len(spoof)
    false_alarm, hit, thresholds = roc_curve(labels, [*bonafide, *spoof], drop_intermediate=False)
    gaps = np.abs((1 - hit) - false_alarm)
    value, threshold = eer(bonafide, spoof)
    closest = np.flatnonzero(gaps <= gaps.min() + 1e-12)
    means = ((1 - hit) + false_alarm)[closest] / 2
    assert np.abs(means - value).min() < 1e-12
    assert threshold in thresholds[closest]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda keys: len({*keys}) == 2))
def test_without_ties_it_is_that_of_the_organisers_rule(keys: list[bool]) -> None:
    """Their rule: reject the k lowest utterances for k from 0 to all; of the points the first with the least gap."""
    n_bonafide, n_spoof = keys.count(True), keys.count(False)
    points = []
    for rejected in range(len(keys) + 1):
        miss = keys[:rejected].count(True) / n_bonafide
        points.append((miss, (n_spoof - keys[:rejected].count(False)) / n_spoof))
    gaps = [abs(miss - false_alarm) for miss, false_alarm in points]
    value, threshold = eer_of(range(len(keys)), keys)
    assert value == pytest.approx(np.mean(points[gaps.index(min(gaps))]), abs=1e-12)
    assert threshold == gaps.index(min(gaps))


@pytest.mark.parametrize(("n_bonafide", "n_spoof", "expected"), FIGURES)
def test_the_organisers_figures(n_bonafide: int, n_spoof: int, expected: float) -> None:
    assert eer(*organisers.detector(n_bonafide, n_spoof))[0] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(either, either)
def test_threshold_gives_the_eer_when_scores_at_it_are_accepted(bonafide: list[float], spoof: list[float]) -> None:
    value, threshold = eer(bonafide, spoof)
    miss, false_alarm = np.mean(np.array(bonafide) < threshold), np.mean(np.array(spoof) >= threshold)
    assert value == pytest.approx((miss + false_alarm) / 2, abs=1e-12)
    assert 0 <= value <= 1
    assert threshold in {*bonafide, *spoof}


@settings(deadline=None)
@given(tied, tied, st.randoms())
def test_order_never_matters(bonafide: list[float], spoof: list[float], random: Random) -> None:
    expected = eer(bonafide, spoof)
    labelled = [(score, 1) for score in bonafide] + [(score, 0) for score in spoof]
    random.shuffle(labelled)
    assert eer_of([score for score, _ in labelled], [label for _, label in labelled]) == expected


def test_between_closed_form() -> None:
    assert between([1.0, 4.0, 2.0, 8.0], 4.0) == 3.0
    assert between([1.0, 4.0], 1.0) == 1.0


@settings(deadline=None)
@given(spread, spread)
def test_between_decides_alike(bonafide: list[float], spoof: list[float]) -> None:
    scores = np.array([*bonafide, *spoof])
    _, threshold = eer(bonafide, spoof)
    assert ((scores >= between(scores, threshold)) >= (scores >= threshold)).all()
    gap = threshold - max([score for score in scores if score < threshold], default=threshold)
    if gap > 1e-9 or gap == 0:
        assert ((scores >= between(scores, threshold)) == (scores >= threshold)).all()


@settings(deadline=None)
@given(tied, tied)
def test_rising_functions_of_the_score_change_only_the_threshold(bonafide: list[int], spoof: list[int]) -> None:
    value, threshold = eer(bonafide, spoof)
    assert eer(np.exp(bonafide), np.exp(spoof)) == (value, np.exp(threshold))
    assert eer(np.array(bonafide) * 8.0 - 3, np.array(spoof) * 8.0 - 3) == (value, threshold * 8.0 - 3)


@settings(deadline=None)
@given(either, either)
def test_swapped_labels_give_the_complement(bonafide: list[float], spoof: list[float]) -> None:
    assume(one_is_closest(bonafide, spoof))
    value, threshold = eer(bonafide, spoof)
    swapped, same_threshold = eer(spoof, bonafide)
    assert swapped == pytest.approx(1 - value, abs=1e-12)
    assert same_threshold == threshold


@settings(deadline=None)
@given(either, either)
def test_turning_scores_and_labels_over_changes_nothing(bonafide: list[float], spoof: list[float]) -> None:
    assume(one_is_closest(bonafide, spoof))
    assert eer([-s for s in spoof], [-s for s in bonafide])[0] == pytest.approx(eer(bonafide, spoof)[0], abs=1e-12)


def test_large_splits_do_not_overflow() -> None:
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 18_090), rng.normal(-1, 1, 116_640)
    # Two unit normals two apart cross at P(Z > 1) = 0.1587.
    assert eer(bonafide, spoof)[0] == pytest.approx(0.1587, abs=0.01)


@pytest.mark.parametrize(
    ("bonafide", "spoof", "message"),
    [
        ([], [1.0], "bona fide scores must be a non-empty"),
        ([1.0], [], "spoof scores must be a non-empty"),
        ([[1.0]], [1.0], "one dimension"),
        ([1.0, np.nan], [1.0], "1 of 2 are NaN"),
        ([1.0], [-np.inf], "finite"),
    ],
)
def test_bad_scores_are_refused(bonafide: list[float], spoof: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eer(bonafide, spoof)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [([1.0, 2.0], [1], "one length"), ([1.0, 2.0], [1, 2], "1 .bona fide. or 0"), ([1.0, 2.0], [1, 1], "spoof scores")],
)
def test_bad_labels_are_refused(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eer_of(scores, labels)
