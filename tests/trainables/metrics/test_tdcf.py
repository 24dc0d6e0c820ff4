"""min t-DCF: hand-worked cases, a brute-force threshold sweep, bounds, and the reader of ASV scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.metrics.tdcf import AsvScores, cost_weights, min_tdcf, read_asv_scores


def asv(target: list[float], nontarget: list[float], spoof: list[float]) -> AsvScores:
    return AsvScores(*(np.array(scores, dtype=np.float64) for scores in (target, nontarget, spoof)))


# A perfect ASV that half of the spoofs fool: threshold 2, C1 = 0.95 * 0.99 = 0.9405, C2 = 0.05 * 10 / 2 = 0.25.
PERFECT = asv([2, 3], [0, 1], [1, 2])
# Threshold 3: miss 1/4, false alarm 1/4, 3 of 4 spoofs pass: C1 = 0.9405 * 3/4 - 0.0095 * 10 / 4, C2 = 0.375.
FALLIBLE = asv([2, 4, 5, 6], [0, 1, 3, 1], [0, 3, 4, 5])

scores = st.lists(st.one_of(st.integers(-3, 3), st.floats(-5, 5)), min_size=1, max_size=12)


def test_cost_weights_hand_worked() -> None:
    assert cost_weights(PERFECT) == pytest.approx((0.9405, 0.25))
    assert cost_weights(FALLIBLE) == pytest.approx((0.681625, 0.375))


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected"),
    [
        ([2, 3], [0, 1], 0.0),  # perfect
        ([5, 5], [5, 5], 1.0),  # constant
        ([0, 1], [2, 3], 1.0),  # upside down: rejecting nothing is the best it can do
        # At 1: no miss, 1/4 of the spoofs pass, C2 / 4. At 2: 1/2 missed, C1 / 2 = 0.47. So 0.25 * 0.25 / 0.25.
        ([1, 3], [0, 0, 0, 1], 0.25),
        # At 2: 1/10 missed and no spoof passes, 0.09405 / 0.25, below the 1/2 that accepting from 1 costs.
        ([1, *[3] * 9], [0, 2], 0.09405 / 0.25),
    ],
)
def test_hand_worked(bonafide: list[float], spoof: list[float], expected: float) -> None:
    assert min_tdcf(bonafide, spoof, PERFECT) == pytest.approx(expected)


def test_a_countermeasure_that_rejects_everything_is_the_yardstick_where_misses_are_cheap() -> None:
    # All targets but one in ten are missed by the ASV itself, so that C1 < C2 and the useless one rejects everything.
    poor = asv([*[0] * 6, *[2] * 4], [*[0] * 4, *[1] * 6], [2, 2])
    c1, c2 = cost_weights(poor)
    assert c1 < c2
    assert min_tdcf([1, 1], [1, 1], poor) == 1
    assert min_tdcf([0, 3], [1, 2], poor) == pytest.approx(0.5)


@settings(deadline=None)
@given(scores, scores, st.sampled_from([PERFECT, FALLIBLE]))
def test_agrees_with_a_sweep_over_every_threshold(
    bonafide: list[float], spoof: list[float], verifier: AsvScores
) -> None:
    c1, c2 = cost_weights(verifier)
    costs = []
    for threshold in [*bonafide, *spoof, np.inf]:
        miss = sum(score < threshold for score in bonafide) / len(bonafide)
        false_alarm = sum(score >= threshold for score in spoof) / len(spoof)
        costs.append((c1 * miss + c2 * false_alarm) / min(c1, c2))
    value = min_tdcf(bonafide, spoof, verifier)
    assert value == pytest.approx(min(costs), abs=1e-12)
    assert 0 <= value <= 1 + 1e-12
    assert min_tdcf(bonafide[::-1], spoof[::-1], verifier) == value


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        (asv([2, 3], [0, 1], [0, 1]), "C2 0 "),  # every spoof is rejected already
        (asv([0, 1], [2, 3], [4]), "C1 > 0"),  # at its EER it misses all targets
        (asv([], [1], [1]), "ASV target scores"),
        (asv([1], [0], [np.nan]), "ASV spoof scores"),
    ],
)
def test_an_asv_that_leaves_nothing_to_gain_is_refused(verifier: AsvScores, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        min_tdcf([1], [0], verifier)


@pytest.mark.parametrize(("bonafide", "spoof"), [([], [1.0]), ([1.0], []), ([np.nan], [0.0])])
def test_bad_countermeasure_scores_are_refused(bonafide: list[float], spoof: list[float]) -> None:
    with pytest.raises(ValueError, match="scores must be"):
        min_tdcf(bonafide, spoof, PERFECT)


def test_reads_the_organisers_columns_and_longer_lines(tmp_path: Path) -> None:
    path = tmp_path / "ASVspoof2019.LA.asv.dev.gi.trl.scores.txt"
    path.write_text(
        "bonafide target 4.5\nbonafide nontarget -2e-1\n\nA07  spoof\t-1.25\nLA_0069 LA_D_1047731 - bonafide target 3\n"
    )
    found = read_asv_scores(path)
    assert found.target.tolist() == [4.5, 3.0]
    assert found.nontarget.tolist() == [-0.2]
    assert found.spoof.tolist() == [-1.25]


def test_every_faulty_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text("bonafide target 1\ntarget 1\nbonafide imposter 1\nA07 spoof x\nA07 spoof nan\n")
    with pytest.raises(ValueError, match="SOURCE KEY SCORE") as caught:
        read_asv_scores(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{number}" for number in (2, 3, 4, 5)]
    assert "'imposter'" in lines[1]
    assert "'x'" in lines[2]


def test_many_faults_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text("A07 spoof x\n" * 50)
    with pytest.raises(ValueError, match="and 30 more faults"):
        read_asv_scores(path)


@pytest.mark.parametrize("content", [None, b"", b"bonafide target 1\nA07 spoof 0\n", b"\xff\xfe\x00"])
def test_missing_empty_or_one_sided_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "scores.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"scores\.txt"):
        read_asv_scores(path)
