"""The paper's plans and their controls: what it grows in each model, and when it grows and prunes.

The paper is Li, Shao, Milling, Schuller, arXiv 2603.24343, in the form of the public scripts that carry its names.
Learning rates, optimiser and batch size come from the budget, which holds the paper's where a model's own recipe does.
"""

from __future__ import annotations

from collections.abc import Sequence

from spaces import shared

MODELS = ("resnet18", "grnn", "wav2vec2")
"""The models that the paper treats; any other gets the control alone."""


def dropin_plans(
    model: str, sites: Sequence[shared.SiteInfo], unchanged: shared.PlanDict
) -> dict[str, shared.PlanDict]:
    """``paper``, for a model of `MODELS`, and ``control``, which trains all weights of the base: it has no new ones.

    Args:
        model: a model's name.
        sites: the sites of the base.
        unchanged: the plan of a plain retrain, see `shared.unchanged`.
    """
    grow = _dropin_growth(model, sites)
    train = "new+head" if model == "wav2vec2" else "new"
    return _named({**unchanged, "grow": grow, "train": train}, unchanged)


def plasticity_plans(
    model: str, sites: Sequence[shared.SiteInfo], unchanged: shared.PlanDict
) -> dict[str, shared.PlanDict]:
    """``paper``, for a model of `MODELS`, and ``control``: the same schedule without growth and cuts.

    Both have three thirds of the epochs, the same learning rates, and a fresh optimiser for each third (the control by
    ``restarts``); the paper's plan grows and prunes between them. What it gains over the control is due to structure.

    Args:
        model: a model's name.
        sites: the sites of the base.
        unchanged: the plan of a plain retrain of at least 2 epochs, see `shared.unchanged`.
    """
    epochs, lr = unchanged["epochs"], unchanged["lr"]
    grow_epoch, prune_epoch = epochs // 3, 2 * epochs // 3
    factors = (1.0, 0.5, 0.1) if model == "wav2vec2" else (1.0, 1.0, 1.0)
    first, second, third = (lr * factor for factor in factors)
    rates = {"lr": first, "grow_lr": second, "recover_lr": third}
    schedule = {**unchanged, "grow_epoch": grow_epoch, "prune_epoch": prune_epoch, **rates}
    grow = _plasticity_growth(model, sites)
    paper = {**schedule, "grow": grow, "final": {site.name: site.width for site in sites if site.name in grow}}
    return _named(paper, {**schedule, "restarts": [epoch for epoch in (grow_epoch, prune_epoch) if epoch]})


def _named(paper: shared.PlanDict, control: shared.PlanDict) -> dict[str, shared.PlanDict]:
    return {"paper": paper, "control": control} if paper["grow"] else {"control": control}


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
