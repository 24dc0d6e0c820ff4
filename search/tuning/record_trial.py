"""A trial of the study, made from its record: what the trial log knows is all that a study is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.runs.record import Record
from search.tuning.space_check import distributions
from trainables.errors import DropinError

Values = Callable[[Record], Sequence[float]]
"""The value of every objective, by the record of a complete trial."""


def attributes(suggested: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's record keeps beside its parameters, as `trainables.messages.Suggestion` has it.

    Args:
        suggested: its user attributes.
        system: what samplers noted of it.
    """
    kept = {name: suggested[name] for name in ("asked", "pruning_of") if name in suggested}
    return {**kept, **({"system": dict(system)} if system else {})}


def trial_of(
    record: Record, space: Callable[[optuna.Trial], Any], values: Values, whose: str = "this run"
) -> FrozenTrial:
    """The trial of a record that has its parameters.

    Args:
        record: from the trial log.
        space: suggests the parameters of a trial.
        values: of a complete trial.
        whose: the run, for messages.

    Raises:
        DropinError: they are no points of the space, or what is known of it beside them cannot be.
    """
    name = f"trial {record.number} of {whose}"
    noted = record.attributes
    user: dict[str, Any] = {"number": record.number}
    if record.recipe is not None:
        user["recipe"] = record.recipe
    user |= {key: noted[key] for key in ("asked", "pruning_of") if key in noted}
    system = noted.get("system", {})
    whole = all(type(value) is int and value >= 0 for key, value in user.items() if key != "recipe")
    if not whole or not isinstance(system, dict) or not all(map(_is_number, system.values())):
        raise DropinError(
            f"{name} must have whole numbers and what samplers note; got {noted!r:.200}: remove its line from the log"
        )
    state = TrialState[record.state]
    return create_trial(
        state=state,
        values=values(record) if state == TrialState.COMPLETE else None,
        params=dict(record.parameters),
        distributions=distributions(space, record.parameters, name),
        user_attrs=user,
        system_attrs=dict(system),
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
