"""What spaces share: their inputs (sites, budget), and the parameters that they have in common.

Every space suggests the same parameters from the same ranges in every trial of a run, also where one of them turns out
to have no effect. Samplers that model parameters jointly (multivariate TPE, GP, CMA-ES) then see one space of fixed
shape; what has no effect is set to one fixed value in the plan, so that plans that act alike are equal.

Common parameters:

=================  =====================  ==============================================================================
parameter          range                  why, source
=================  =====================  ==============================================================================
``grow.SITE``      0..4                   0, 1/8, 1/4, 1/2 or all of the site's width, at least one neuron. The paper
                                          (arXiv 2603.24343) doubles (grnn) or adds as much as a layer has (resnet18);
                                          less is cheaper
``grow.BRANCH``    0..7                   at a branch: none up to 5, then half and all of its limit (all: the paper).
                                          Mostly none, because a branch is as dear as several layers
``grow.KIND``      as above               the same for all sites of a kind inside the window; instead of ``grow.SITE``
                                          where a detector has more than 12 sites
``window.first``   0..layers - 1          where the window starts, counted within a kind. The paper widens two
                                          neighbouring encoder layers and leaves open which
``window.layers``  1..layers / 3          how many neighbours grow; bounded, since each costs time in every trial
``rule``           those of the budget    random: the paper. split: Net2Net (Chen 2016). zero, gradmax: Evci 2022. The
                                          last three leave the function as it was
``lr_factor``      by space, log          learning rate over the base's
``schedule``       constant, cosine       constant: the paper. cosine to 0: Loshchilov 2017
=================  =====================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import spaces

PlanDict = dict[str, Any]
Value = int | float | str
Answers = Mapping[str, Value]
"""Values of parameters; a key may be a parameter's full name, or the part before the first dot of several."""

SCHEDULES = ("constant", "cosine")
GROWTH_EIGHTHS = (0, 1, 2, 4, 8)
BRANCH_EIGHTHS = (0, 0, 0, 0, 0, 0, 4, 8)
MANY_SITES = 12


class Trial(Protocol):
    """The part of ``optuna.trial.Trial`` that spaces use."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """A whole number in ``[low, high]``."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number in ``[low, high]``."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices."""


@dataclass(frozen=True)
class SiteInfo:
    """What a space has to know of a site.

    Attributes:
        name: unique in its model, without ``/``.
        kind: ``inner``, ``recurrent``, ``heads``, ``branch`` or ``stream``.
        width: neurons of the base; whole heads for ``heads``; 0 for an absent branch.
        depth: position from the input.
        limit: the largest sensible width, or ``None``; how wide a branch can be (1 where it comes as a whole).
        removable: whether all of its neurons may go.
        refused_rules: growth rules that cannot grow it.
    """

    name: str
    kind: str
    width: int
    depth: int
    limit: int | None = None
    removable: bool = False
    refused_rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would make parameters of a study unusable."""
        if not self.name or "/" in self.name:
            raise ValueError(f"the name of a site must be non-empty and hold no '/'; got {self.name!r}: rename it")
        if self.width < 0:
            raise ValueError(f"the width of a site must be at least 0; {self.name} has {self.width}")

    @property
    def room(self) -> int | None:
        """Neurons that may still be added; ``None`` for no bound. A branch without a limit has none."""
        if self.limit is None:
            return 0 if self.kind == "branch" else None
        return max(0, self.limit - self.width)


@dataclass(frozen=True)
class Budget:
    """What every plan of a run is given.

    Attributes:
        epochs: total epochs, at least 1.
        lr, batch_size, optimizer, weight_decay, clip: the settings that the base was trained with.
        rules: the growth rules to choose from, at least one. Their order is part of a study.
        criteria: the pruning criteria to choose from, likewise.
    """

    epochs: int
    lr: float
    batch_size: int
    optimizer: str
    weight_decay: float
    clip: float
    rules: tuple[str, ...]
    criteria: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse budgets that no plan fits."""
        if self.epochs < 1:
            raise ValueError(f"a budget must have at least 1 epoch; got {self.epochs}: raise --epochs")
        if not self.lr > 0:
            raise ValueError(f"the learning rate of a budget must be above 0; got {self.lr}")
        if not self.rules or not self.criteria:
            raise ValueError(
                f"a budget must have growth rules and criteria to choose from; got {self.rules} and {self.criteria}: "
                "set SEARCHED in the file of at least one of each"
            )


def unchanged(space: str, budget: Budget) -> PlanDict:
    """The complete plan of a plain retrain: no growth, no cut, all weights train. Spaces and recipes alter a copy.

    Args:
        space: a name of ``spaces.names()``, whose file says by which procedure the plan is carried out.
        budget: what every plan of the run is given.
    """
    return {
        "space": space,
        "procedure": spaces.load(space).PROCEDURE,
        "epochs": budget.epochs,
        "grow": {},
        "rule": "random",
        "grow_epoch": 0,
        "grow_steps": 1,
        "train": "all",
        "prune_epoch": budget.epochs,
        "prune_steps": 1,
        "final": {},
        "criterion": "original",
        "after": "finetune",
        "moments": "reset",
        "restarts": [],
        "optimizer": budget.optimizer,
        "lr": budget.lr,
        "grow_lr": budget.lr,
        "recover_lr": budget.lr,
        "schedule": "constant",
        "weight_decay": budget.weight_decay,
        "clip": budget.clip,
        "batch_size": budget.batch_size,
    }


def growable(sites: Sequence[SiteInfo]) -> tuple[SiteInfo, ...]:
    """The sites at which at least one neuron can be added, from the input up."""
    return tuple(sorted((site for site in sites if site.room != 0), key=lambda site: site.depth))


def by_kind(sites: Sequence[SiteInfo]) -> dict[str, tuple[SiteInfo, ...]]:
    """The sites of each kind, from the input up."""
    ordered = sorted(sites, key=lambda site: site.depth)
    return {kind: tuple(s for s in ordered if s.kind == kind) for kind in sorted({site.kind for site in sites})}


def layer_count(sites: Sequence[SiteInfo]) -> int:
    """The most sites of one kind that can grow: how many layers a detector has for a window of them."""
    return max((len(members) for members in by_kind(growable(sites)).values()), default=1)


def portion(width: int, parts: int, of: int = 8) -> int:
    """`parts` / `of` (an even number) of a width, rounded half up, at least 1."""
    return max(1, (width * parts + of // 2) // of)


def growth_eighths(kind: str) -> tuple[int, ...]:
    """What the growth levels of a kind of site stand for: eighths of the width, of a branch's limit."""
    return BRANCH_EIGHTHS if kind == "branch" else GROWTH_EIGHTHS


def neurons(site: SiteInfo, level: int) -> int:
    """How many neurons a growth level adds to a site; never more than there is room for."""
    eighths = growth_eighths(site.kind)[level]
    if eighths == 0:
        return 0
    wanted = portion((site.limit or 0) if site.kind == "branch" else site.width, eighths)
    return wanted if site.room is None else min(wanted, site.room)


def least_level(kind: str) -> int:
    """The lowest level that adds something."""
    return growth_eighths(kind).count(0)


def _level(trial: Trial, kind: str, what: str) -> int:
    return trial.suggest_int(f"grow.{what}", 0, len(growth_eighths(kind)) - 1)


def site_levels(trial: Trial, sites: Sequence[SiteInfo]) -> dict[str, int]:
    """One growth level a site: parameters ``grow.SITE``."""
    return {site.name: _level(trial, site.kind, site.name) for site in sites}


def window_levels(trial: Trial, kinds: Mapping[str, Sequence[SiteInfo]], forced: str = "") -> dict[str, int]:
    """Growth levels from one level a kind and a window of neighbouring layers; of branches only the lowest one grows.

    Args:
        trial: where parameters come from.
        kinds: the sites of each kind, from the input up.
        forced: a kind that grows at least by the lowest level, if any.
    """
    layers = max(len(sites) for sites in kinds.values())
    first = trial.suggest_int("window.first", 0, layers - 1)
    count = trial.suggest_int("window.layers", 1, max(1, layers // 3))
    levels = {}
    for kind, sites in kinds.items():
        level = _level(trial, kind, kind)
        if kind == forced:
            level = max(level, least_level(kind))
        start = min(first, len(sites) - 1)
        for site in sites[start : start + (1 if kind == "branch" else count)]:
            levels[site.name] = level
    return levels


def additions(sites: Sequence[SiteInfo], levels: Mapping[str, int]) -> dict[str, int]:
    """Neurons to add by site, sites that do not grow left out: the ``grow`` of a plan."""
    found = {site.name: neurons(site, levels.get(site.name, 0)) for site in sites}
    return {name: n for name, n in found.items() if n}


def training(trial: Trial, budget: Budget, least: float, most: float) -> PlanDict:
    """One learning rate for all stages, and its schedule: ``lr_factor`` from `least` to `most`, and ``schedule``."""
    lr = budget.lr * trial.suggest_float("lr_factor", least, most, log=True)
    schedule = trial.suggest_categorical("schedule", SCHEDULES)
    return {"lr": lr, "grow_lr": lr, "recover_lr": lr, "schedule": schedule}
