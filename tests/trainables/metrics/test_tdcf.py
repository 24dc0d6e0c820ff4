"""min t-DCF: hand-worked cases, the organisers' figures, a brute-force threshold sweep, and bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import organisers
from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.tdcf import cost_weights, min_tdcf


def asv(target: list[float], nontarget: list[float], spoof: list[float]) -> AsvScores:
    target_scores, nontarget_scores, spoof_scores = (np.array(s, dtype=np.float64) for s in (target, nontarget, spoof))
    return AsvScores(target_scores, nontarget_scores, spoof_scores)


# Its EER, 0, rejects the nontargets; the threshold is the highest of them, 1, and accepts it: false alarm 1/2. Half of
# the spoofs pass: C0 = 0.0095 * 10 / 2 = 0.0475, C1 = 0.9405 - 0.0475 = 0.893, C2 = 0.05 * 10 / 2 = 0.25.
GOOD = asv([2, 3], [0, 1], [0, 1])
# The EER rejects up to 2: miss 1/4, false alarm 1/4. At 2 nothing is missed, and 3 is accepted of nontargets, 3/4 of
# spoofs pass: C0 = 0.0095 * 10 / 4, C1 = 0.9405 - 0.02375, C2 = 0.375.
FALLIBLE = asv([2, 4, 5, 6], [0, 1, 3, 1], [0, 3, 4, 5])

scores = st.lists(st.one_of(st.integers(-3, 3), st.floats(-5, 5)), min_size=1, max_size=12)


def test_cost_weights_hand_worked() -> None:
    assert cost_weights(GOOD) == pytest.approx((0.0475, 0.893, 0.25))
    assert cost_weights(FALLIBLE) == pytest.approx((0.02375, 0.91675, 0.375))


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected"),
    [
        ([2, 3], [0, 1], 0.0),  # perfect
        ([5, 5], [5, 5], 1.0),  # constant
        ([0, 1], [2, 3], 1.0),  # upside down: rejecting nothing is the best it can do
        # At 1: no miss, 1/4 of the spoofs pass, C2 / 4. At 2: 1/2 missed, C1 / 2 = 0.45. So 0.25 * 0.25 / 0.25.
        ([1, 3], [0, 0, 0, 1], 0.25),
        # At 2: 1/10 missed and no spoof passes, 0.0893 / 0.25, below the 1/2 that accepting from 1 costs.
        ([1, *[3] * 9], [0, 2], 0.0893 / 0.25),
    ],
)
def test_hand_worked(bonafide: list[float], spoof: list[float], expected: float) -> None:
    assert min_tdcf(bonafide, spoof, GOOD) == pytest.approx(expected)
    # In the form of 2021 C0 = 0.0475 is added to the cost and to what a system costs that does not listen, 0.25.
    revised = (0.0475 + 0.25 * expected) / 0.2975
    assert min_tdcf(bonafide, spoof, replace(GOOD, challenge=2021)) == pytest.approx(revised)


@pytest.mark.parametrize("challenge", [2019, 2021])
@pytest.mark.parametrize("counts", organisers.FIGURES)
def test_the_organisers_figures(counts: tuple[int, int], challenge: int) -> None:
    verifier = organisers.verifier(*organisers.VERIFICATIONS[counts], challenge)
    expected = organisers.FIGURES[counts][f"tdcf_{challenge}"]
    assert min_tdcf(*organisers.detector(*counts), verifier) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("target", "nontarget", "spoof"),
    [([2, 3], [0, 1], [0, 1, 5]), ([2, 4, 5, 6], [0, 1, 3, 1.5], [0, 2, 3, 4]), ([1, 5, 6], [0, 2, 7], [3, 2, 1])],
)
def test_the_asv_works_where_the_organisers_let_it(
    target: list[float], nontarget: list[float], spoof: list[float]
) -> None:
    """Their rule: of the ASV's scores in rising order the k-th, of which the first k make the EER; it is accepted."""
    found = sorted([(score, 1) for score in target] + [(score, 0) for score in nontarget])
    gaps = []
    for rejected in range(len(found) + 1):
        missed = sum(key for _, key in found[:rejected])
        gaps.append(abs(missed / len(target) - 1 + (rejected - missed) / len(nontarget)))
    threshold = found[gaps.index(min(gaps)) - 1][0]
    miss, false_alarm = np.mean(np.array(target) < threshold), np.mean(np.array(nontarget) >= threshold)
    c0 = 0.9405 * miss + 0.095 * false_alarm
    expected = (c0, 0.9405 - c0, 0.5 * np.mean(np.array(spoof) >= threshold))
    assert cost_weights(asv(target, nontarget, spoof)) == pytest.approx(expected)


def test_a_countermeasure_that_rejects_everything_is_the_yardstick_where_misses_are_cheap() -> None:
    # Of its targets the ASV itself misses 6 in 10, so that C1 < C2 and the useless one rejects everything.
    poor = asv([*[0] * 6, *[2] * 4], [*[1] * 4, *[3] * 6], [2, 2])
    _, c1, c2 = cost_weights(poor)
    assert c1 < c2
    assert min_tdcf([1, 1], [1, 1], poor) == 1
    assert min_tdcf([0, 3], [1, 2], poor) == pytest.approx(0.5)


@settings(deadline=None)
@given(scores, scores, st.sampled_from([GOOD, FALLIBLE]), st.sampled_from([2019, 2021]))
def test_agrees_with_a_sweep_over_every_threshold(
    bonafide: list[float], spoof: list[float], verifier: AsvScores, challenge: int
) -> None:
    c0, c1, c2 = cost_weights(verifier)
    c0 = 0 if challenge == 2019 else c0
    costs = []
    for threshold in [*bonafide, *spoof, np.inf]:
        miss = sum(score < threshold for score in bonafide) / len(bonafide)
        false_alarm = sum(score >= threshold for score in spoof) / len(spoof)
        costs.append((c0 + c1 * miss + c2 * false_alarm) / (c0 + min(c1, c2)))
    verifier = replace(verifier, challenge=challenge)
    value = min_tdcf(bonafide, spoof, verifier)
    assert value == pytest.approx(min(costs), abs=1e-12)
    assert 0 <= value <= 1 + 1e-12
    assert min_tdcf(bonafide[::-1], spoof[::-1], verifier) == value


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        (asv([2, 3], [0, 1], [0, 0]), "C2 0 "),  # every spoof is rejected already
        (asv(list(range(200)), [200, 201], [300]), "C1 > 0"),  # it misses all targets but the last
        (asv([], [1], [1]), "ASV target scores"),
        (asv([1], [0], [np.nan]), "ASV spoof scores"),
        (replace(GOOD, challenge=2015), "that of 2019 or 2021; got 2015"),
    ],
)
def test_an_asv_that_leaves_nothing_to_gain_is_refused(verifier: AsvScores, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        min_tdcf([1], [0], verifier)


@pytest.mark.parametrize(("bonafide", "spoof"), [([], [1.0]), ([1.0], []), ([np.nan], [0.0])])
def test_bad_countermeasure_scores_are_refused(bonafide: list[float], spoof: list[float]) -> None:
    with pytest.raises(ValueError, match="scores must be"):
        min_tdcf(bonafide, spoof, GOOD)
