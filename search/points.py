"""Whether trials are points of a space as it is now: versions of this project may differ in what may vary."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial


def check_point(space: Callable[[optuna.Trial], Any], trial: FrozenTrial, name: str) -> None:
    """Refuse a trial that a sampler could not learn from: it was asked for other parameters, or within other ranges.

    Optuna itself would leave out what not all trials have, without a word, or break off at a choice that it knows
    otherwise.

    Args:
        space: suggests the parameters of a trial.
        trial: one that was suggested before.
        name: what it is called in the message.

    Raises:
        ValueError: it is no point of the space.
    """
    asked = FixedTrial(trial.params)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a value that is out of range, which is refused below
            space(asked)  # type: ignore[arg-type]  # it suggests as a trial does
        same = asked.distributions == trial.distributions
    except ValueError:  # a parameter that the trial has not
        same = False
    if not same:
        raise ValueError(
            f"{name} was chosen from another space than that of this version, with other parameters or ranges: take "
            "the version that its run was made with (versions.json in its folder), or begin a new run without it"
        )
