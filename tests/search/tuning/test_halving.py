from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from search.runs import pareto
from search.tuning.halving import (
    MIN_TRIALS,
    REDUCTION_FACTOR,
    Halving,
    Rung,
    better_neighbours,
    rank_in_rung,
    rung_of,
    rungs,
)
from search.tuning.scheduler import HalvingScheduler
from trainables.errors import DropinError

POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 9)), min_size=1, max_size=30)
RUNG = Rung(True, 1)


# Closed forms


@pytest.mark.parametrize(
    ("begin", "end", "epochs", "recovery", "expected"),
    [
        (0, 8, 8, True, {4: 1, 2: 2}),
        (0, 100, 100, True, {50: 1, 25: 2, 13: 3, 7: 4, 4: 5}),
        (4, 8, 8, True, {6: 1, 5: 2}),
        (7, 8, 8, True, {}),
        (0, 4, 8, False, {2: 2}),
        (0, 5, 8, False, {4: 1, 2: 2}),
        (0, 1, 8, False, {}),
        (0, 2, 2, True, {1: 1}),
        (0, 0, 8, False, {}),
    ],
)
def test_rungs_lie_at_halves_of_a_phase(
    begin: int, end: int, epochs: int, recovery: bool, expected: dict[int, int]
) -> None:
    found = rungs(begin, end, epochs, recovery=recovery)
    assert found == {epoch: Rung(recovery, halvings) for epoch, halvings in expected.items()}


def test_plans_that_cut_at_different_epochs_meet_at_the_same_share_of_their_recovery() -> None:
    assert rung_of(3, 2, 8) is None
    assert rung_of(5, 2, 8) == rung_of(6, 4, 8) == Rung(True, 1)  # 3 of 6 epochs, 2 of 4
    assert rung_of(5, 2, 8, last_cut=2) == Rung(True, 1)
    assert rung_of(2, 4, 8) == rung_of(2, 6, 8) == Rung(False, 2), "growth lies ahead"
    assert rung_of(2, 4, 8, last_cut=4) is None, "a cut lies ahead"
    assert rung_of(2, 4, 8, last_cut=2) is None, "what the cut left has not been trained yet"
    assert rung_of(2, 0, 8) == Rung(True, 2) != rung_of(2, 4, 8)
    assert rung_of(4, 4, 8) is None, "the epoch before the last change compares nothing that the one before did not"
    assert rung_of(8, 0, 8) is None, "a trial that has finished is not stopped"


def test_larger_neighbours_with_fewer_errors_are_counted() -> None:
    """Sorted by size; slices of two: the smallest has two better neighbours, the largest none."""
    points = np.array([[0.5, 1], [0.1, 2], [0.08, 3], [0.3, 4], [0.05, 5]])
    assert better_neighbours(points).tolist() == [2, 1, 1, 1, 0]


def test_with_one_objective_the_better_half_is_promoted() -> None:
    kept = Halving()
    promoted = [kept.promote(number, RUNG, [value]) for number, value in enumerate([5, 4, 3, 6, 2, 2.5])]
    # None is stopped among the first three; 6 is the worst of four; 2 the best of five; 2.5 the second of six.
    assert promoted == [True, True, True, False, True, True]
    assert not kept.promote(6, RUNG, [4.5])


def test_the_smallest_detector_is_not_spared_for_its_size() -> None:
    """All are on the front, and half of them have to go: the one that guesses is the first."""
    front = [(0.5, 1.0), (0.10, 2.0), (0.08, 3.0), (0.06, 4.0)]
    ranks = {point: rank_in_rung(point, front)[0] for point in front}
    assert ranks[(0.5, 1.0)] == 3
    assert not Halving({RUNG: dict(enumerate(front[1:]))}).promote(9, RUNG, front[0])


# Properties


@given(POINTS, st.randoms())
def test_order_duplicates_and_monotone_rescaling_change_nothing(points: list[tuple[int, int]], chance: Any) -> None:
    before = {point: rank_in_rung(point, points) for point in points}
    shuffled = [*points, *chance.sample(points, len(points) // 2)]
    chance.shuffle(shuffled)
    assert {point: rank_in_rung(point, shuffled) for point in points} == before

    def rescaled(point: Sequence[float]) -> tuple[float, float]:
        return math.exp(point[0]) - 3, math.log(point[1]) * 100

    assert {point: rank_in_rung(rescaled(point), map(rescaled, points)) for point in points} == before


@given(POINTS)
def test_a_trial_that_dominates_a_rung_is_never_stopped(points: list[tuple[int, int]]) -> None:
    best = (min(e for e, _ in points) - 1, min(s for _, s in points) - 1)
    assert Halving({RUNG: dict(enumerate(points))}).promote(99, RUNG, best)


@given(POINTS)
def test_a_better_pareto_rank_comes_before_a_worse_one_and_ranks_are_a_permutation(
    points: list[tuple[int, int]],
) -> None:
    different = sorted(set(points))
    found = [rank_in_rung(point, points)[0] for point in different]
    assert sorted(found) == list(range(len(different)))
    ranks = pareto.ranks(np.array(different, dtype=float))
    ordered = [rank for _, rank in sorted(zip(found, ranks.tolist(), strict=True))]
    assert ordered == sorted(ordered)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40, unique=True))
def test_with_one_objective_ranks_are_those_of_the_values(values: list[int]) -> None:
    for value in values:
        assert rank_in_rung([value], [[other] for other in values]) == (sorted(values).index(value), len(values))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.integers(1, 99)), max_size=40), st.integers(0, 40))
def test_save_and_restore_continue_exactly(rows: list[tuple[bool, float, int]], cut: int) -> None:
    whole, first = Halving(), Halving()

    def feed(kept: Halving, begin: int, end: int) -> list[bool]:
        return [kept.promote(n, Rung(r[0], 1), r[1:]) for n, r in list(enumerate(rows))[begin:end]]

    expected = feed(whole, 0, len(rows))
    before = feed(first, 0, cut)
    second = Halving.from_state(json.loads(json.dumps(first.state())))
    assert before + feed(second, cut, len(rows)) == expected
    assert second.reached == whole.reached


def test_half_of_many_random_trials_are_promoted() -> None:
    chance, kept = np.random.default_rng(0), Halving()
    promoted = [kept.promote(n, RUNG, chance.random(2).tolist()) for n in range(400)]
    assert 0.45 < np.mean(promoted) < 0.6
    assert REDUCTION_FACTOR == 2
    assert MIN_TRIALS <= 4


@pytest.mark.parametrize("row", [[True, 1], [1, 1, 1, [0.5]], [True, 1, 1, 0.5], "row", [True, 1.5, 1, [0.5]]])
def test_rows_that_are_none_are_rejected(row: Any) -> None:
    with pytest.raises(ValueError, match="recovery, halvings, trial and its values"):
        Halving.from_state([row])


def test_three_objectives_are_rejected() -> None:
    with pytest.raises(ValueError, match="one objective, or by error and size; got 3"):
        rank_in_rung([1, 2, 3], [])
    with pytest.raises(ValueError, match="must be finite"):
        rank_in_rung([math.nan], [[1.0]])


# The scheduler


def trial(number: int, **config: Any) -> Any:
    return SimpleNamespace(config={"number": number, **config})


def result(eer: float, size: int = 100, epoch: int = 4) -> dict[str, Any]:
    known = {"epoch": epoch, "epochs": 8, "last_change": 0, "last_cut": 0, "work_done": epoch / 8, "size": size}
    return {**known, "best_eer": eer, "best_weighted_eer": eer}


def test_the_scheduler_stops_the_worse_half_and_spares_recipes(tmp_path: Path) -> None:
    made = HalvingScheduler(["best_weighted_eer"], tmp_path / "rungs.jsonl")
    assert made.set_search_properties("anything", "min")
    for number in range(MIN_TRIALS):
        assert made.on_trial_result(None, trial(number), result(0.1 + number / 100)) == (
            TrialScheduler.STOP if number == MIN_TRIALS - 1 else TrialScheduler.CONTINUE
        )
    assert made.on_trial_result(None, trial(7, exempt=True), result(0.9)) == TrialScheduler.CONTINUE
    assert made.on_trial_result(None, trial(8), result(0.9, epoch=3)) == TrialScheduler.CONTINUE
    assert made.on_trial_result(None, trial(9), result(math.nan)) == TrialScheduler.CONTINUE
    assert "5 at 1/2 of the recovery" in made.debug_string()
    late = {**result(0.9), "work_done": 0.51}
    assert made.on_trial_result(None, trial(10), late) == TrialScheduler.CONTINUE, "less lies ahead than was spent"
    assert "6 at 1/2 of the recovery" in made.debug_string(), "others are compared with it"


def test_the_scheduler_reads_its_rungs_from_its_log_and_from_tunes_file(tmp_path: Path) -> None:
    log = tmp_path / "rungs.jsonl"
    made = HalvingScheduler(["best_eer", "size"], log)
    for number in range(6):
        made.on_trial_result(None, trial(number), result(0.1 + number / 100, 100 - number, epoch=2 + 2 * (number % 2)))
    with log.open("a") as file:
        file.write("[true, 1, 9")  # cut off by a kill
    again = HalvingScheduler(["best_eer", "size"], log)
    assert again.halving == made.halving
    made.save(str(tmp_path / "tune.json"))
    other = HalvingScheduler(["best_eer", "size"], tmp_path / "other.jsonl")
    other.restore(str(tmp_path / "tune.json"))
    assert other.halving == made.halving


@pytest.mark.parametrize("line", [b"{oh no", b"[true, 1]", b"\xff"])
def test_a_log_of_rungs_with_a_line_that_is_none_is_named(line: bytes, tmp_path: Path) -> None:
    log = tmp_path / "rungs.jsonl"
    log.write_bytes(line + b"\n")
    with pytest.raises(DropinError, match=r"rungs\.jsonl must be a line of JSON .*: remove the line"):
        HalvingScheduler(["best_eer", "size"], log)


def test_halving_ends_near_the_front_of_a_full_search() -> None:
    """Learning curves that cross now and then: of 60 trials the best five by their ends are all but always there."""
    chance, found = np.random.default_rng(1), []
    for _ in range(10):
        ends = chance.random(60)
        kept, alive = Halving(), []
        for number, end in enumerate(ends):
            passed = all(
                kept.promote(number, Rung(True, halvings), [end + chance.normal(0, 0.05) * halvings])
                for halvings in (2, 1)
            )
            alive += [number] if passed else []
        found.append(len(set(np.argsort(ends)[:5]) & set(alive)))
        assert len(alive) < 40
    assert np.mean(found) >= 4.5
