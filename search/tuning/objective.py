"""What Optuna is told of an ended trial: state, values, parameters; the weighted EER is in `trainables.metrics`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from optuna.trial import TrialState

from search.runs.record import Record, to_result
from trainables.errors import DropinError

STEP = 1.1
"""Sizes that differ by less may count as equal."""
Ending = Literal["finished", "stopped", "failed"]
"""How a trial ended: ran to its plan's last epoch, was stopped early by the scheduler, or raised or lost its worker."""


def optuna_state_and_values(
    ending: Ending, values: Sequence[float | None] | None
) -> tuple[TrialState, list[float] | None]:
    """State and values to tell Optuna about a trial, as ``study.tell(trial, values, state=state)`` takes them.

    Only a trial that ran to its end is COMPLETE: the value of a stopped trial belongs to a half-trained detector, and a
    sampler that learns from it as from a final one avoids plans that start slowly. A stopped trial is PRUNED, without
    values. A failed one is FAIL, which samplers leave out; so is one that finished without a finite number for every
    objective, since NaN would leave Optuna's trial running for ever.

    Args:
        ending: how the trial ended.
        values: the final value of each objective; None, whole or in part, where there is none.

    Returns:
        ``(COMPLETE, values)``, ``(PRUNED, None)`` or ``(FAIL, None)``; the state's ``name`` is what the run's own log
        of trials holds.

    Raises:
        DropinError: unknown ending.
    """
    if ending not in ("finished", "stopped", "failed"):
        raise DropinError(f"a trial ends finished, stopped or failed; got {ending!r}")
    if ending == "stopped":
        return TrialState.PRUNED, None
    final = [math.nan if value is None else float(value) for value in values or ()]
    if ending == "failed" or not final or not all(map(math.isfinite, final)):
        return TrialState.FAIL, None
    return TrialState.COMPLETE, final


def used_parameters(
    parameters: Mapping[str, Any], plan: Mapping[str, Any], result: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters of a trial with the criterion that it used, where that is not the one of its plan.

    Args:
        parameters: as they were suggested.
        plan: the plan that they gave.
        result: the trial's last.
    """
    used = result.get("criterion")
    if used in (None, plan.get("criterion")) or "criterion" not in parameters:
        return dict(parameters)
    return {**parameters, "criterion": used}


def values_of(objectives: Sequence[str], result: Mapping[str, Any]) -> list[float | None]:
    """The value of every objective by its name in a result; ``None`` where the trial reported none."""
    size = result.get("size")
    known = {**result, "size": None if size is None else size_on_grid(size)}
    return [known.get(name) for name in objectives]


def values_of_record(objectives: Sequence[str], record: Record) -> list[float]:
    """A complete trial's value of every objective."""
    return [float(value or 0) for value in values_of(objectives, to_result(record))]


def size_on_grid(size: float) -> float:
    """A number of parameters rounded up to the next power of `STEP`, at least 1.

    In two objectives the smallest detector is never dominated, however many errors it makes. To a sampler that is told
    exact sizes, a detector that guesses is among the best as long as it is smaller by a single neuron, and it suggests
    more of them. On a grid of sizes it is dominated (epsilon-dominance in one objective: Laumanns et al., Evolutionary
    Computation 10(3), 2002). Fronts and tables have exact sizes.
    """
    return STEP ** math.ceil(math.log(max(1.0, size), STEP) - 1e-9)
