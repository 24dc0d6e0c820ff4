"""Plasticity: grow, retrain everything, prune to a chosen width, recover.

Beside the parameters of ``spaces/shared.py``:

===================  =======================  ==========================================================================
parameter            range                    why, source
===================  =======================  ==========================================================================
``final.all``        1..11                    the usual final width: 1, 2, 3, 4, 6, 8, 10, 12, 14, 16 or 18 sixteenths
                                              of the original (by steps off it also 0, 20 and 24); about even on a
                                              logarithmic scale, as fronts are drawn, and mostly below the original,
                                              where a search that weighs size looks. 0 removes what can be removed, such
                                              as a whole residual block, and leaves one neuron elsewhere. The paper
                                              (arXiv 2603.24343): 16. One parameter for all sites, so that sizes of
                                              trials differ: independent widths per site would average out, and leave
                                              both ends of the front bare
``final.SITE``       -2..2                    steps off ``final.all`` at this site
``final.KIND``       1..11                    instead of the two above where there are more than 12 sites: one level a
``tilt.KIND``        -2..2                    kind, and steps off it at the last layer (the first: the opposite; linear
                                              between), since lower and upper layers are not equally redundant
                                              (heads: Michel 2019; layers: Fan 2020)
``stream.all``       2..12                    the usual width that residual streams end with, counted as ``final.all``;
                                              10 and more: as they are. A parameter of its own, since all that a layer
                                              computes passes through its stream: it needs more than a block
``stream.tilt``      -2..2                    steps off ``stream.all`` at the last stream (the first: the opposite)
``grow_at``          0..3                     growth after so many sixths of the epochs. The paper: 2. Less leaves new
                                              neurons more time, and the base is trained already
``prune_at``         1..4                     first cut after so many sixths of the epochs that follow growth. The
                                              paper: 3. At least a third is left to recover
``prune_steps``      1..4                     cuts, one an epoch, as many as fit. 1: the paper; gradual: Molchanov 2019
``criterion``        those of the budget      original: the paper, what was added goes first. magnitude: Li 2017.
                                              taylor: Molchanov 2019. activation: Hu 2016
``after``            finetune,                finetune: the paper. Rewinding weights: Frankle 2020; the learning rate:
                     rewind_weights,          Renda 2020, who find it at least as good as both
                     rewind_lr
``moments``          carry, reset             reset: the paper (a fresh optimiser each third)
``lr_factor``        0.1..4, log              below 1 because training goes on from a trained base (the paper: 1,
                                              1/2, 1/10); above, because new weights start cold
``recover_factor``   0.05..1, log             learning rate of fine-tuning over the one before. The paper: 1, and 1/5
===================  =======================  ==========================================================================

A final width is capped at what is there after growth, so sites that did not grow can be cut too, and one can end above
the original only where it grew. A plan that neither grows nor cuts is a plain retrain.

Branches are not part of this space. A base has none, so a branch could only be removed again or make the detector
larger, and each is as dear as several layers; ``spaces/paper.py`` has the paper's plan with branches, and
``spaces/dropin.py`` searches them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spaces import paper, shared

WORDS = "grow, retrain everything, prune to a chosen width, recover"
PROCEDURE = "plasticity"
FINAL_SIXTEENTHS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24)
USUAL = (1, 11)
"""The lowest and the highest level of a usual final width."""
STREAMS = (2, 12)
"""The same for residual streams."""
REMOVED_BELOW = 2
"""Up to this usual level a site is removed by two steps down."""
LR_FACTORS = (0.1, 4.0)
AFTER = ("finetune", "rewind_weights", "rewind_lr")
MOMENTS = ("carry", "reset")


def space(trial: shared.Trial, sites: Sequence[shared.SiteInfo], budget: shared.Budget) -> shared.PlanDict:
    """A complete plan of growth, retraining, pruning and recovery.

    Raises:
        ValueError: a budget of a single epoch, or no site to grow or cut.
    """
    need_two_epochs(budget)
    streams, sites = shared.by_kind(sites).get("stream", ()), changeable(sites)
    if not sites:
        raise ValueError(
            "plasticity needs a site with at least one neuron; the detector has none: choose another model"
        )
    grow = shared.additions(sites, _growth_levels(trial, sites))
    levels = {**_final_levels(trial, sites), **_stream_levels(trial, streams)}
    final = _final_widths([*sites, *streams], grow, levels)
    rule = trial.suggest_categorical("rule", budget.rules)
    grow_epoch, prune_epoch, prune_steps = _epochs(trial, budget.epochs)
    criterion = trial.suggest_categorical("criterion", budget.criteria)
    after = trial.suggest_categorical("after", AFTER)
    moments = trial.suggest_categorical("moments", MOMENTS)
    training = shared.training(trial, budget, *LR_FACTORS)
    recover_factor = trial.suggest_float("recover_factor", 0.05, 1.0, log=True)

    plan = {**shared.unchanged("plasticity", budget), **training}
    if grow:
        plan |= {"grow": grow, "rule": rule, "grow_epoch": grow_epoch}
    if final:
        plan |= {"final": final, "prune_epoch": prune_epoch, "prune_steps": prune_steps}
        plan |= {"criterion": criterion, "after": after}
        if after == "finetune":
            plan["recover_lr"] = training["lr"] * recover_factor
    if grow or final:
        plan["moments"] = moments
    return plan


def prunings(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Points that cut the same grown stage otherwise, the most different first.

    Two levels lower; the upper half of the sites removed, as far as sites can be; streams two levels lower; two levels
    higher; streams two higher; one level lower, one higher; streams one lower; then one more site removed, the last one
    first. Where sites are many, "removed" tilts a kind towards its lower layers.

    Args:
        parameters: a trial's, in the order in which the space suggested them, which is that of the sites' depth.
    """
    usual = [name for name in parameters if name == "final.all"] or [
        name for name in parameters if name.startswith("final.")
    ]
    steps = [name for name in parameters if name.startswith("final.") and name not in usual]
    tilts = [name for name in parameters if name.startswith("tilt.")]

    def moved(by: int) -> dict[str, Any]:
        return {name: min(USUAL[1], max(USUAL[0], parameters[name] + by)) for name in usual}

    def removed(names: Sequence[str]) -> dict[str, Any]:
        lowered = {name: min(REMOVED_BELOW, parameters[name]) for name in usual}
        return {**lowered, **dict.fromkeys(names, -2), **dict.fromkeys(tilts, -2)}

    def narrower(by: int) -> dict[str, Any]:
        if "stream.all" not in parameters:
            return {}
        level = min(FINAL_SIXTEENTHS.index(16), parameters["stream.all"])  # levels above stand for the same
        return {"stream.all": min(STREAMS[1], max(STREAMS[0], level - by))}

    changes = [moved(-2), removed(steps[len(steps) // 2 :]), narrower(2), moved(2), narrower(-2), moved(-1), moved(1)]
    changes += [narrower(1), *(removed([name]) for name in reversed(steps))]
    found: list[dict[str, Any]] = []
    for change in changes:
        point = {**parameters, **change}
        if point != parameters and point not in found:
            found.append(point)
    return found


def recipes(model: str, sites: Sequence[shared.SiteInfo], budget: shared.Budget) -> dict[str, shared.PlanDict]:
    """The paper's plan and its control, see ``spaces.paper``.

    Raises:
        ValueError: a budget of a single epoch.
    """
    need_two_epochs(budget)
    return paper.plasticity_plans(model, sites, shared.unchanged("plasticity", budget))


def initial_points(sites: Sequence[shared.SiteInfo]) -> Mapping[str, shared.Answers]:
    """Split growth by a quarter at once, cut by taylor after a third of the epochs, from small to large.

    To 1/16, 1/4, 1/2 and all of the original width, at four times the base's learning rate throughout. Where sites can
    be removed also to 1/8 without the upper half, with residual streams of 3/4 (the lowest) to 1/4 (the highest) of
    their widths, and of 1/2 to 1/8; where there are no streams, instead of this to 1/16 without every second site.
    Where sites are many, as in transformers: at twice the rate, and instead of these two to 1/16 and less, the higher
    the less.
    """
    kept = changeable(sites)
    many = len(kept) > shared.MANY_SITES
    common: dict[str, shared.Value] = {
        "grow": 2,
        "window.first": 0,
        "window.layers": max(1, shared.layer_count(kept) // 3),
        "rule": "split",
        "final": 0,
        "tilt": 0,
        "stream.all": STREAMS[1],
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
    upper: dict[str, shared.Value] = {f"final.{site.name}": -2 for site in removable[len(removable) // 2 :]}
    small = {"initial-lower-half": {**least, **upper, "tilt": -2}}
    if not many:
        lower = small["initial-lower-half"]
        lower["final.all"] = REMOVED_BELOW
        if "stream" in shared.by_kind(sites):
            lower |= {"stream.all": 6, "stream.tilt": -2}
            small = {"initial-slim": {**lower, "stream.all": 4}, **small}
        else:
            second: dict[str, shared.Value] = {f"final.{site.name}": -1 for site in removable[1::2]}
            small["initial-every-second"] = {**least, **second}
    return {**small, **found}


def changeable(sites: Sequence[shared.SiteInfo]) -> tuple[shared.SiteInfo, ...]:
    """The sites that may grow and be cut one by one: those that have neurons, and neither branches nor streams."""
    return tuple(site for site in sites if site.kind not in ("branch", "stream") and site.width > 0)


def need_two_epochs(budget: shared.Budget) -> None:
    """Refuse a budget too short to train between growth and cut and again after it.

    Raises:
        ValueError: fewer than 2 epochs.
    """
    if budget.epochs < 2:
        raise ValueError(
            "plasticity needs at least 2 epochs, one before the cut and one after it; "
            f"the budget has {budget.epochs}: raise --epochs"
        )


def _growth_levels(trial: shared.Trial, sites: Sequence[shared.SiteInfo]) -> dict[str, int]:
    candidates = shared.growable(sites)
    if len(sites) <= shared.MANY_SITES:
        return shared.site_levels(trial, candidates)
    return shared.window_levels(trial, shared.by_kind(candidates)) if candidates else {}


def _final_levels(trial: shared.Trial, sites: Sequence[shared.SiteInfo]) -> dict[str, int]:
    """Index into `FINAL_SIXTEENTHS` by site."""
    if len(sites) <= shared.MANY_SITES:
        usual = trial.suggest_int("final.all", *USUAL)
        wanted = {site.name: usual + trial.suggest_int(f"final.{site.name}", -2, 2) for site in sites}
    else:
        wanted = {}
        for kind, members in shared.by_kind(sites).items():
            usual, tilt = trial.suggest_int(f"final.{kind}", *USUAL), trial.suggest_int(f"tilt.{kind}", -2, 2)
            last = max(1, len(members) - 1)
            for rank, site in enumerate(members):
                wanted[site.name] = usual + _tilted(tilt, rank, last)
    return {name: min(len(FINAL_SIXTEENTHS) - 1, max(0, level)) for name, level in wanted.items()}


def _stream_levels(trial: shared.Trial, streams: Sequence[shared.SiteInfo]) -> dict[str, int]:
    """Index into `FINAL_SIXTEENTHS` by residual stream, none above the stream's own width."""
    if not streams:
        return {}
    usual, tilt = trial.suggest_int("stream.all", *STREAMS), trial.suggest_int("stream.tilt", -2, 2)
    whole, last = FINAL_SIXTEENTHS.index(16), max(1, len(streams) - 1)
    wanted = {site.name: usual + _tilted(tilt, rank, last) for rank, site in enumerate(streams)}
    return {name: min(whole, max(1, level)) for name, level in wanted.items()}


def _tilted(tilt: int, rank: int, last: int) -> int:
    """Steps off the usual level: minus `tilt` at the first of some layers, `tilt` at the last, linear between."""
    return round(tilt * (2 * rank - last) / last)


def _final_widths(
    sites: Sequence[shared.SiteInfo], grow: Mapping[str, int], levels: Mapping[str, int]
) -> dict[str, int]:
    """Final widths by site, where they are below what there is after growth."""
    found = {}
    for site in sites:
        sixteenths = FINAL_SIXTEENTHS[levels[site.name]]
        final = shared.portion(site.width, sixteenths, 16) if sixteenths or not site.removable else 0
        if final < site.width + grow.get(site.name, 0):
            found[site.name] = final
    return found


def _epochs(trial: shared.Trial, epochs: int) -> tuple[int, int, int]:
    """Epoch of growth, epoch of the first cut, number of cuts.

    With `epochs` >= 2: ``0 <= growth < cut < epochs`` and ``cut + cuts <= epochs``.
    """
    growth = min(epochs * trial.suggest_int("grow_at", 0, 3) // 6, epochs - 2)
    cut = growth + max(1, (epochs - growth) * trial.suggest_int("prune_at", 1, 4) // 6)
    return growth, cut, min(trial.suggest_int("prune_steps", 1, 4), epochs - cut)
