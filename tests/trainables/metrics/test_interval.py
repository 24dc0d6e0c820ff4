from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.metrics.eer import eer, eer_of
from trainables.metrics.interval import eer_interval


def draw(count: int, distance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of as many utterances of each class, their means so far apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(2 * count) % 2
    return random.normal(size=2 * count) + distance * labels, labels


def test_without_errors_and_without_order_the_interval_is_a_point() -> None:
    labels = np.array([0, 0, 1, 1])
    assert eer_interval([0.0, 0.1, 0.8, 0.9], labels) == (0.0, 0.0)
    assert eer_interval([0.5] * 4, labels) == (0.5, 0.5)
    assert eer_interval([0.8, 0.9, 0.0, 0.1], labels) == (1.0, 1.0)


def test_one_utterance_wrong_in_ten_by_the_binomial() -> None:
    """One of 10 spoofs above all, no bona fide below others: the EER of a sample follows how often it is drawn."""
    scores = np.concatenate([np.arange(9), [99], np.arange(20, 30)]).astype(float)
    labels = np.array([0] * 10 + [1] * 10)
    low, high = eer_interval(scores, labels, resamples=4000)
    random = np.random.default_rng(1)
    found = []
    for _ in range(4000):
        index = np.concatenate([random.integers(0, 10, 10), random.integers(10, 20, 10)])
        found.append(eer_of(scores[index], labels[index])[0])
    assert (low, high) == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.026)


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=50)
def test_the_eer_of_a_sample_is_that_of_the_metric(seed: int, n_bonafide: int, n_spoof: int) -> None:
    """One sample, drawn again as it is drawn there; with so few utterances thresholds are often equally close."""
    scores, labels = np.arange(n_bonafide + n_spoof), np.arange(n_bonafide + n_spoof) < n_bonafide
    np.random.default_rng(seed).shuffle(scores)
    low, high = eer_interval(scores, labels, resamples=1, seed=seed)
    random, order = np.random.default_rng(seed), np.argsort(scores)
    drawn = [random.multinomial(own.sum(), own[order] / own.sum()) for own in (labels, ~labels)]
    bonafide, spoof = (np.repeat(scores[order], counts) for counts in drawn)
    assert low == high == eer(bonafide, spoof)[0]


@given(st.integers(0, 2**31), st.integers(4, 40), st.floats(0.0, 3.0))
@settings(max_examples=30)
def test_it_holds_the_middle_of_samples_and_grows_with_the_level(seed: int, count: int, distance: float) -> None:
    scores, labels = draw(count, distance, seed)
    narrow, wide = (eer_interval(scores, labels, level=level, seed=seed) for level in (0.5, 0.99))
    assert 0 <= wide[0] <= narrow[0] <= narrow[1] <= wide[1] <= 1
    assert narrow == eer_interval(scores * 7 - 3, labels, level=0.5, seed=seed), "only the order of scores counts"


def test_it_holds_the_rate_of_the_distribution_about_as_often_as_it_says() -> None:
    """Classes two deviations apart have an EER of 15.87 %; 200 splits of 100 + 100 utterances."""
    inside = 0
    for seed in range(200):
        low, high = eer_interval(*draw(100, 2.0, seed), resamples=200)
        inside += low <= 0.1587 <= high
    assert 0.88 <= inside / 200 <= 1.0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"level": 1.0}, "level"), ({"level": 0.0}, "level"), ({"resamples": 0}, "at least 1 sample")],
)
def test_bad_input_is_refused(changes: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        eer_interval([0.0, 1.0], [0, 1], **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be finite"):
        eer_interval([np.nan, 1.0], [0, 1])
