"""A run's space, and whether trials are points of it: versions of this project may differ in what may vary."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial

import spaces
from search.settings.options import Settings
from spaces import shared
from trainables import criteria, growth, models
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.models.site import Site

Sites = tuple[shared.SiteInfo, ...]


def scope(settings: Settings) -> tuple[Sites, shared.Budget]:
    """The inputs of the space of a run: the sites of its base, and what every plan is given."""
    arch = Architecture.create(settings.model, settings.model_option)
    return site_infos(arch), run_budget(settings.model, settings.epochs)


def site_infos(arch: Architecture) -> Sites:
    """The sites of a base as a space takes them."""

    def refused(site: Site) -> tuple[str, ...]:
        return tuple(rule for rule in growth.NAMES if growth.load(rule).refuses(site) is not None)

    sites = arch.sites().values()
    return tuple(shared.SiteInfo(s.name, s.kind, s.width, s.depth, s.limit, s.removable, refused(s)) for s in sites)


def run_budget(model: str, epochs: int) -> shared.Budget:
    """What every plan of a run is given: the recipe of its base, and the rules and criteria that are searched."""
    recipe = models.load(model).RECIPE
    kept = {name: recipe[name] for name in ("lr", "batch_size", "optimizer", "weight_decay", "clip")}
    return shared.Budget(epochs, **kept, rules=growth.searched(), criteria=criteria.searched())


def search_space(settings: Settings) -> Callable[[optuna.Trial], dict[str, Any]]:
    """The space of a run: suggests the parameters of a trial and gives its plan."""
    sites, budget = scope(settings)
    return partial(spaces.load(settings.space).space, sites=sites, budget=budget)


def check_compatible(space: Callable[[optuna.Trial], Any], trial: FrozenTrial, name: str) -> None:
    """Refuse a trial that a sampler could not learn from: it was asked for other parameters, or within other ranges.

    Optuna itself would leave out what not all trials have, without a word, or break off at a choice that it knows
    otherwise.

    Args:
        space: suggests the parameters of a trial.
        trial: one that was suggested before.
        name: what it is called in the message.

    Raises:
        DropinError: it is no point of the space.
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
        raise DropinError(
            f"{name} was chosen from another space than that of this version, with other parameters or ranges: take "
            "the version that its run was made with (versions.json in its folder), or begin a new run without it"
        )
