"""Fixed points that a run tries first: the paper's procedures, their controls, and good starts along the size axis.

The paper is Li, Shao, Milling, Schuller, arXiv 2603.24343, in the form of the public scripts that carry its names.
Learning rates, optimiser and batch size come from the budget, which holds the paper's where a model's own recipe does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import spaces
from spaces import plasticity, shared

Value = int | float | str
INITIAL_POINT = "initial-"
"""How the names of good starts begin."""


def recipes(
    space: str, model: str, sites: Sequence[shared.SiteInfo], budget: shared.Budget
) -> dict[str, shared.PlanDict]:
    """Plans by name: ``paper`` where the paper treats the model, and always ``control``.

    ``control`` is the paper's schedule without growth and cuts: the same epochs, the same learning rates, a fresh
    optimiser at the same epochs (``restarts``). What the paper's plan for plasticity gains over it is due to structure.
    For dropin it trains all weights of the base, as there are no new ones.

    Args:
        space: a name of ``spaces.names()``.
        model: a model's name; one that the paper does not know gets the control alone.
        sites: the sites of the base.
        budget: what every plan of the run is given.

    Raises:
        ValueError: an unknown space, or a budget of 1 epoch for plasticity.
    """
    spaces.load(space)
    if space == "dropin":
        grow = _dropin_growth(model, sites)
        train = "new+head" if model == "wav2vec2" else "new"
        control = shared.unchanged(space, budget)
        paper = {**control, "grow": grow, "train": train}
    else:
        plasticity.need_two_epochs(budget)
        grow = _plasticity_growth(model, sites)
        control, paper = _thirds(model, sites, grow, budget)
    return {"paper": paper, "control": control} if grow else {"control": control}


def is_recipe(name: str | None) -> bool:
    """Whether a trial of this name is there to compare with; initial points are like what a sampler chooses."""
    return name is not None and not name.startswith(INITIAL_POINT)


class InitialPoint(NamedTuple):
    """A point of a space: parameters to enqueue in a study, and the plan that the space makes of them."""

    parameters: dict[str, Value]
    plan: shared.PlanDict


def initial_points(space: str, sites: Sequence[shared.SiteInfo], budget: shared.Budget) -> dict[str, InitialPoint]:
    """Good starts for a search, from small to large, as points of the space, so that samplers learn from them.

    plasticity: split growth by a quarter at once, cut by taylor after a third of the epochs to 1/16, 1/4, 1/2 and all
    of the original width, at four times the base's learning rate throughout. Where sites can be removed also to 1/8
    without the upper half, with residual streams of 3/4 (the lowest) to 1/4 (the highest) of their widths, and of 1/2
    to 1/8; where there are no streams, instead of this to 1/16 without every second site. Where sites are many, as in
    transformers: at twice the rate, and instead of these two to 1/16 and less, the higher the less.
    dropin: zero growth of the last site by 1/8, of the upper half by 1/4, of all by 1/2, at sixteen times the base's
    learning rate; branches only if there is nothing else. Where sites are many, "all" and "half" are a window of a
    third of the layers, at the base's rate.

    Raises:
        ValueError: an unknown space, or what the space itself refuses.
    """
    function = spaces.load(space).space
    found = {}
    for name, wanted in (_dropin_initial_points if space == "dropin" else _plasticity_initial_points)(sites).items():
        trial = _Settled(wanted)
        plan = function(trial, sites, budget)
        found[name] = InitialPoint(trial.parameters, plan)
    return found


def _dropin_growth(model: str, sites: Sequence[shared.SiteInfo]) -> dict[str, int]:
    """The paper's additions: both branches (resnet18), the second layer doubled (grnn), a middle branch (wav2vec2)."""
    branches = [site for site in shared.growable(sites) if site.kind == "branch"]
    if model == "resnet18":
        return _full(branches)
    if model == "grnn":
        return _second_layer_doubled(sites)
    if model == "wav2vec2":
        return _full(branches[(len(branches) - 1) // 2 :][:1])  # the sixth of twelve layers: "encoder.5.branch"
    return {}


def _plasticity_growth(model: str, sites: Sequence[shared.SiteInfo]) -> dict[str, int]:
    """As for dropin, but wav2vec2 widens its first two encoder layers.

    How the paper widens them is not known, only the total: 11.25M parameters become 16.63M. A feed-forward neuron costs
    2 * 256 + 1 parameters there, which gives 5244 more for each layer of 512; other widths in proportion, at most 5244.
    """
    if model == "wav2vec2":
        feed_forward = [site for site in shared.growable(sites) if site.kind == "inner"][:2]
        return {site.name: _capped(site, min(5244, site.width * 5244 // 512)) for site in feed_forward}
    return _dropin_growth(model, sites)


def _second_layer_doubled(sites: Sequence[shared.SiteInfo]) -> dict[str, int]:
    layers = [site for site in shared.growable(sites) if site.kind == "recurrent"]
    return {site.name: _capped(site, site.width) for site in layers[:2][-1:]}


def _full(branches: Sequence[shared.SiteInfo]) -> dict[str, int]:
    return {site.name: site.room for site in branches if site.room}


def _capped(site: shared.SiteInfo, count: int) -> int:
    return count if site.room is None else min(count, site.room)


def _thirds(
    model: str, sites: Sequence[shared.SiteInfo], grow: Mapping[str, int], budget: shared.Budget
) -> tuple[shared.PlanDict, shared.PlanDict]:
    """Control and paper: three thirds of the epochs, a fresh optimiser for each, growth and removal between them."""
    grow_epoch, prune_epoch = budget.epochs // 3, 2 * budget.epochs // 3
    factors = (1.0, 0.5, 0.1) if model == "wav2vec2" else (1.0, 1.0, 1.0)
    first, second, third = (budget.lr * factor for factor in factors)
    schedule = {
        **shared.unchanged("plasticity", budget),
        "grow_epoch": grow_epoch,
        "prune_epoch": prune_epoch,
        "lr": first,
        "grow_lr": second,
        "recover_lr": third,
    }
    control = {**schedule, "restarts": [epoch for epoch in (grow_epoch, prune_epoch) if epoch]}
    paper = {**schedule, "grow": grow, "final": {site.name: site.width for site in sites if site.name in grow}}
    return control, paper


def _plasticity_initial_points(sites: Sequence[shared.SiteInfo]) -> dict[str, dict[str, Value]]:
    kept = plasticity.changeable(sites)
    many = len(kept) > shared.MANY_SITES
    common: dict[str, Value] = {
        "grow": 2,
        "window.first": 0,
        "window.layers": max(1, _layers(kept) // 3),
        "rule": "split",
        "final": 0,
        "tilt": 0,
        "stream.all": plasticity.STREAMS[1],
        "stream.tilt": 0,
        "grow_at": 0,
        "prune_at": 2,
        "prune_steps": 1,
        "criterion": "taylor",
        "after": "rewind_lr",
        "moments": "carry",
        "lr_factor": 2.0 if many else 4.0,
        "recover_factor": 0.2,
        "schedule": "constant",
    }
    levels = {"initial-sixteenth": 1, "initial-quarter": 4, "initial-half": 6, "initial-full": 10}
    found = {
        name: {**common, **{f"final.{what}": level for what in ("all", *shared.by_kind(kept))}}
        for name, level in levels.items()
    }
    removable = [site for site in kept if site.removable]
    if not removable:
        return found
    least = found["initial-sixteenth"]
    upper: dict[str, Value] = {f"final.{site.name}": -2 for site in removable[len(removable) // 2 :]}
    small = {"initial-lower-half": {**least, **upper, "tilt": -2}}
    if not many:
        lower = small["initial-lower-half"]
        lower["final.all"] = plasticity.REMOVED_BELOW
        if "stream" in shared.by_kind(sites):
            lower |= {"stream.all": 6, "stream.tilt": -2}
            small = {"initial-slim": {**lower, "stream.all": 4}, **small}
        else:
            second: dict[str, Value] = {f"final.{site.name}": -1 for site in removable[1::2]}
            small["initial-every-second"] = {**least, **second}
    return {**small, **found}


def _dropin_initial_points(sites: Sequence[shared.SiteInfo]) -> dict[str, dict[str, Value]]:
    candidates, layers = shared.growable(sites), _layers(sites)
    ranks = [rank for rank, site in enumerate(candidates) if site.kind != "branch"] or [0]
    common: dict[str, Value] = {
        "grow.branch": 0,
        **{f"grow.{site.name}": 0 for site in candidates if site.kind == "branch"},
        "kind": next((site.kind for site in candidates if site.kind != "branch"), "branch"),
        "window.layers": max(1, layers // 3),
        "rule": "zero",
        "grow_steps": 1,
        "train": "new+head",
        "lr_factor": 1.0 if len(candidates) > shared.MANY_SITES else 16.0,
        "schedule": "constant",
    }
    return {
        "initial-small": {**common, "grow": 1, "lowest": ranks[-1], "window.first": layers - 1},
        "initial-middle": {**common, "grow": 2, "lowest": ranks[len(ranks) // 2], "window.first": layers // 2},
        "initial-large": {**common, "grow": 3, "lowest": ranks[0], "window.first": 0},
    }


def _layers(sites: Sequence[shared.SiteInfo]) -> int:
    """The most sites that one kind has, as the spaces count layers."""
    return max((len(members) for members in shared.by_kind(shared.growable(sites)).values()), default=1)


class _Settled:
    """A trial whose answers are given: by a parameter's full name, else by the part before its first dot."""

    def __init__(self, wanted: Mapping[str, Value]) -> None:
        self.wanted = wanted
        self.parameters: dict[str, Value] = {}

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
        assert value in choices, f"{name} = {value!r} not in {choices}"
        return value

    def _answer(self, name: str) -> Value:
        value = self.wanted[name] if name in self.wanted else self.wanted[name.split(".")[0]]
        self.parameters[name] = value
        return value
