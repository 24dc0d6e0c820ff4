"""Dropin: add neurons to a trained detector and train the new ones; nothing is pruned.

Beside the parameters of ``spaces/shared.py``, whose ``grow.SITE`` has branches here too:

==============  ======================  ================================================================================
parameter       range                   why, source
==============  ======================  ================================================================================
``lowest``      0..sites - 1            the lowest site that grows, which always grows; those below it never do, those
                                        above as their level says. So a plan grows something without a trial refused,
                                        and one parameter holds what a step costs: no backward pass goes below
``kind``        the kinds of sites      instead of ``lowest`` where there are more than 12 sites: the kind that always
                                        grows, from ``window.first`` on
``grow_steps``  1..2                    all at once (the paper, arXiv 2603.24343), or half now and half at the middle
                                        (GradMax, Evci 2022, grows over time); 1 where no half is possible
``rule``        as in shared            where a site grows that refuses the rule, it becomes zero, which leaves the
                                        function as it was and grows any site: a branch has no neurons to split and no
                                        signal for gradmax
``train``       new, new+head           new: the paper's resnet18 and grnn; new+head: its wav2vec2. Not everything: that
                                        is what plasticity is for, which may also keep all that grew
``lr_factor``   0.25..64, log           what is frozen cannot be unlearned, so new weights may take large steps.
                                        ResNet18, all blocks grown, two corpora, 5 seeds: 16 leaves 2 to 4 points of EER
                                        less than 1 does; 32 is no better, 64 worse
==============  ======================  ================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spaces import paper, shared

WORDS = "add neurons to a trained detector and train the new ones"
PROCEDURE = "dropin"
TRAIN = ("new", "new+head")
LR_FACTORS = (0.25, 64.0)


def space(trial: shared.Trial, sites: Sequence[shared.SiteInfo], budget: shared.Budget) -> shared.PlanDict:
    """A complete plan that grows at least one site and cuts none.

    Raises:
        ValueError: no site can grow.
    """
    candidates = shared.growable(sites)
    if not candidates:
        raise ValueError("dropin needs a site with room for one more neuron; all are at their limit: raise a limit")
    grow = shared.additions(candidates, _growth_levels(trial, candidates))
    rule = trial.suggest_categorical("rule", budget.rules)
    steps = trial.suggest_int("grow_steps", 1, 2)
    train = trial.suggest_categorical("train", TRAIN)
    training = shared.training(trial, budget, *LR_FACTORS)
    if any(rule in site.refused_rules for site in candidates if site.name in grow):
        rule = "zero"
    if budget.epochs < 2 or max(grow.values()) < 2:
        steps = 1
    return {
        **shared.unchanged("dropin", budget),
        **training,
        "grow": grow,
        "rule": rule,
        "grow_steps": steps,
        "moments": "carry",  # a second growth leaves what the first one learned alone
        "train": train,
    }


def prunings(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Points that cut the same grown stage otherwise: none, as nothing is cut."""
    return []


def recipes(model: str, sites: Sequence[shared.SiteInfo], budget: shared.Budget) -> dict[str, shared.PlanDict]:
    """The paper's plan and its control, see ``spaces.paper``."""
    return paper.dropin_plans(model, sites, shared.unchanged("dropin", budget))


def initial_points(sites: Sequence[shared.SiteInfo]) -> Mapping[str, shared.Answers]:
    """Zero growth of the last site by 1/8, of the upper half by 1/4, of all by 1/2; branches only if nothing else.

    At sixteen times the base's learning rate. Where sites are many, "all" and "half" are a window of a third of the
    layers, at the base's rate.
    """
    candidates, layers = shared.growable(sites), shared.layer_count(sites)
    ranks = [rank for rank, site in enumerate(candidates) if site.kind != "branch"] or [0]
    common: dict[str, shared.Value] = {
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


def _growth_levels(trial: shared.Trial, candidates: Sequence[shared.SiteInfo]) -> dict[str, int]:
    if len(candidates) > shared.MANY_SITES:
        kinds = shared.by_kind(candidates)
        return shared.window_levels(trial, kinds, forced=trial.suggest_categorical("kind", tuple(kinds)))
    lowest = trial.suggest_int("lowest", 0, len(candidates) - 1)
    levels = shared.site_levels(trial, candidates)
    for site in candidates[:lowest]:
        levels[site.name] = 0
    first = candidates[lowest]
    levels[first.name] = max(levels[first.name], shared.least_level(first.kind))
    return levels
