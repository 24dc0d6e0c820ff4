"""A run's space, and whether trials are points of it: versions of this project may differ in what may vary."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

import spaces
from search.settings.options import Settings
from spaces import shared
from trainables import criteria, growth, models
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.models.site import Site

Sites = tuple[shared.SiteInfo, ...]


def space_arguments(settings: Settings) -> tuple[Sites, shared.Budget]:
    """The arguments of a run's space: the sites of its base, and what all plans have in common."""
    arch = Architecture.create(settings.model, settings.model_option)
    return site_infos(arch), run_budget(settings.model, settings.epochs)


def site_infos(arch: Architecture) -> Sites:
    """The sites of a base, as a space sees them."""

    def refusing(site: Site) -> tuple[str, ...]:
        return tuple(rule for rule in growth.NAMES if growth.load(rule).refuses(site) is not None)

    sites = arch.sites().values()
    return tuple(shared.SiteInfo(s.name, s.kind, s.width, s.depth, s.limit, s.removable, refusing(s)) for s in sites)


def run_budget(model: str, epochs: int) -> shared.Budget:
    """What all plans of a run have in common: the recipe of its base, and the rules and criteria that are searched."""
    recipe = models.load(model).RECIPE
    kept = {name: recipe[name] for name in ("lr", "batch_size", "optimizer", "weight_decay", "clip")}
    return shared.Budget(epochs, **kept, rules=growth.searched(), criteria=criteria.searched())


def search_space(settings: Settings) -> Callable[[optuna.Trial], dict[str, Any]]:
    """The space of a run: suggests the parameters of a trial and returns its plan."""
    sites, budget = space_arguments(settings)
    return partial(spaces.load(settings.space).space, sites=sites, budget=budget)


def check_compatible(space: Callable[[optuna.Trial], Any], trial: FrozenTrial, name: str) -> None:
    """Reject a trial that a sampler could not learn from: its space had other parameters, or other ranges.

    Optuna itself would silently skip parameters that not all trials have, or raise at a categorical parameter with
    other choices.

    Args:
        space: suggests the parameters of a trial.
        trial: one that was suggested before.
        name: of the trial, for the message.

    Raises:
        DropinError: it is no point of the space.
    """
    if distributions(space, trial.params, name) != trial.distributions:
        raise _other_space(name)


def distributions(
    space: Callable[[optuna.Trial], Any], parameters: Mapping[str, Any], name: str
) -> dict[str, BaseDistribution]:
    """The ranges that a space has for the parameters of a trial.

    Args:
        space: suggests the parameters of a trial.
        parameters: of one that was suggested before.
        name: of the trial, for the message.

    Raises:
        DropinError: it is no point of the space.
    """
    fixed = FixedTrial(dict(parameters))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a value that is out of range, which is rejected below
            space(fixed)  # type: ignore[arg-type]  # it suggests as a trial does
        create_trial(state=TrialState.RUNNING, params=dict(parameters), distributions=fixed.distributions)
    except (ValueError, TypeError, LookupError) as error:  # a parameter that it has not, or a value out of range
        raise _other_space(name) from error
    return fixed.distributions


def _other_space(name: str) -> DropinError:
    return DropinError(
        f"{name} was chosen from another space than that of this version, with other parameters or ranges: take "
        "the version that its run was made with (versions.json in its folder), or begin a new run without it"
    )
