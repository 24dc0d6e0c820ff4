"""Optuna's samplers by name, each seeded for a single trial."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial

from trainables.errors import DropinError


class InformedTPESampler(TPESampler):
    """TPE that is given the parameters that all trials have, instead of comparing all trials for each trial."""

    def __init__(self, space: IntersectionSearchSpace, **options: Any) -> None:
        """Sample these parameters together; `options` are those of TPESampler."""
        super().__init__(**options)
        self._known = space

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters to sample together."""
        return {name: one for name, one in self._known.calculate(study).items() if not one.single()}


def make_sampler(
    name: str, seed: int, n_trials: int, startup: int, space: IntersectionSearchSpace | None = None
) -> BaseSampler:
    """An Optuna sampler for a single trial.

    Args:
        name: one of `search.settings.options.SAMPLERS`.
        seed: the run's seed.
        n_trials: how many trials were asked for before.
        startup: trials that are sampled at random before the sampler learns; a generation of nsga2, at least 2.
        space: the search space of the study so far, for tpe, which otherwise computes it.

    Raises:
        DropinError: unknown name.
    """
    # Two seeds of a run's samplers meet only where runs have seeds a million apart.
    mixed = (seed * 1_000_003 + n_trials) % 2**32
    if name == "random":
        return RandomSampler(seed=mixed)
    if name == "tpe":
        return InformedTPESampler(
            space or IntersectionSearchSpace(include_pruned=True),
            seed=mixed,
            multivariate=True,
            constant_liar=True,
            n_startup_trials=startup,
        )
    if name == "nsga2":
        return NSGAIISampler(seed=mixed, population_size=max(2, startup))
    if name == "gp":
        return GPSampler(seed=mixed, n_startup_trials=startup, warn_independent_sampling=False)
    raise DropinError(f"sampler must be tpe, nsga2, random or gp; got {name!r}")
