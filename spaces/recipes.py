"""Fixed points that a run tries first: the paper's procedures, their controls, and good starts along the size axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import spaces
from spaces import shared

INITIAL_POINT = "initial-"
"""How the names of initial points begin."""


def recipes(
    space: str, model: str, sites: Sequence[shared.SiteInfo], budget: shared.Budget
) -> dict[str, shared.PlanDict]:
    """Plans by name: ``paper`` where the paper treats the model, and always ``control``; see ``spaces.paper``.

    Args:
        space: a name of ``spaces.names()``.
        model: a model's name.
        sites: the sites of the base.
        budget: what every plan of the run is given.

    Raises:
        ValueError: an unknown space, or what the space itself refuses, such as a budget of 1 epoch for plasticity.
    """
    found: dict[str, shared.PlanDict] = spaces.load(space).recipes(model, sites, budget)
    return found


def is_recipe(name: str | None) -> bool:
    """Whether a trial of this name is there to compare with; initial points are like what a sampler chooses."""
    return name is not None and not name.startswith(INITIAL_POINT)


class InitialPoint(NamedTuple):
    """A point of a space: parameters to enqueue in a study, and the plan that the space makes of them."""

    parameters: dict[str, shared.Value]
    plan: shared.PlanDict


def initial_points(space: str, sites: Sequence[shared.SiteInfo], budget: shared.Budget) -> dict[str, InitialPoint]:
    """Good starts for a search, from small to large, as points of the space, so that samplers learn from them.

    Raises:
        ValueError: an unknown space, or what the space itself refuses.
    """
    module = spaces.load(space)
    found = {}
    for name, answers in module.initial_points(sites).items():
        trial = _FixedTrial(answers)
        plan = module.space(trial, sites, budget)
        found[name] = InitialPoint(trial.parameters, plan)
    return found


class _FixedTrial:
    """A trial that answers from a table, by a parameter's full name or else by the part before its first dot."""

    def __init__(self, answers: shared.Answers) -> None:
        self.answers = answers
        self.parameters: dict[str, shared.Value] = {}

    def suggest_int(self, name: str, low: int, high: int) -> int:
        value = self._answer(name)
        assert isinstance(value, int), f"{name} = {value!r} is not a whole number"
        assert low <= value <= high, f"{name} = {value!r} outside [{low}, {high}]"
        return value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = float(self._answer(name))
        assert low <= value <= high, f"{name} = {value!r} outside [{low}, {high}]"
        return value

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        value = str(self._answer(name))
        if value not in choices:
            raise ValueError(
                f"{name} of an initial point must be one of {', '.join(choices)}; got {value!r}: choose another in the "
                "file of the space, or set SEARCHED in the file of the value"
            )
        return value

    def _answer(self, name: str) -> shared.Value:
        value = self.answers[name] if name in self.answers else self.answers[name.split(".")[0]]
        self.parameters[name] = value
        return value
