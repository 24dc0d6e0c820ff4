"""What Optuna is told about an ended trial, and that Optuna takes it."""

from __future__ import annotations

import math
from typing import get_args

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from search.tuning.objective import STEP, Ending, optuna_state_and_values, size_on_grid


@pytest.mark.parametrize(
    ("ending", "values", "expected"),
    [
        ("finished", [0.25], (TrialState.COMPLETE, [0.25])),
        ("finished", (0.25, 1000), (TrialState.COMPLETE, [0.25, 1000.0])),
        ("finished", [0.0], (TrialState.COMPLETE, [0.0])),
        ("finished", [math.nan], (TrialState.FAIL, None)),
        ("finished", [0.25, math.inf], (TrialState.FAIL, None)),
        ("finished", [0.25, None], (TrialState.FAIL, None)),
        ("finished", [], (TrialState.FAIL, None)),
        ("finished", None, (TrialState.FAIL, None)),
        ("stopped", [0.25], (TrialState.PRUNED, None)),
        ("stopped", [math.nan], (TrialState.PRUNED, None)),
        ("stopped", None, (TrialState.PRUNED, None)),
        ("failed", [0.25], (TrialState.FAIL, None)),
        ("failed", None, (TrialState.FAIL, None)),
    ],
)
def test_hand_worked(
    ending: Ending, values: list[float | None] | None, expected: tuple[TrialState, list[float] | None]
) -> None:
    assert optuna_state_and_values(ending, values) == expected


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("value", [0.25, math.nan, None])
def test_optuna_takes_it_and_leaves_no_trial_running(objectives: int, value: float | None) -> None:
    study = optuna.create_study(directions=["minimize"] * objectives)
    for ending in get_args(Ending):
        state, values = optuna_state_and_values(ending, [value] * objectives)
        ended = study.tell(study.ask(), values, state=state)
        assert ended.state == state
        assert ended.values == values
    assert not study.get_trials(states=[TrialState.RUNNING])
    assert [trial.values for trial in study.get_trials(states=[TrialState.COMPLETE])] == (
        [[0.25] * objectives] if value == 0.25 else []
    )


def test_an_unknown_ending_is_rejected() -> None:
    with pytest.raises(ValueError, match="finished, stopped or failed"):
        optuna_state_and_values("TERMINATED", [0.25])  # type: ignore[arg-type]


def test_sizes_on_the_grid() -> None:
    assert [size_on_grid(size) for size in (0, 1, 1.1, 2, 12_000)] == pytest.approx([1, 1, 1.1, 1.1**8, 1.1**99])
    assert size_on_grid(12_000) == size_on_grid(12_500) < size_on_grid(12_600)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_grid_keeps_the_order_and_is_never_far_off(one: int, other: int) -> None:
    assert one * (1 - 1e-6) <= size_on_grid(one) <= one * STEP
    assert size_on_grid(size_on_grid(one)) == pytest.approx(size_on_grid(one))
    if one <= other:
        assert size_on_grid(one) <= size_on_grid(other)
