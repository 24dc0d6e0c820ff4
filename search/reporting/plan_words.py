"""Plans and counts in words, for people who look at a front and want to know what a trial did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainables import criteria, growth

_AFTER = {
    "finetune": "go on from the weights that are left",
    "rewind_weights": "go on from their values at growth",
    "rewind_lr": "go on from the weights that are left at the learning rate of growth",
}
_TRAINED = {"new": "only what is new", "new+head": "what is new and the classifier", "all": "everything"}


def plan_in_words(plan: Mapping[str, Any]) -> list[str]:
    """What a plan does, a clause for each thing: growth, what trains, cuts, how it goes on, optimiser.

    Args:
        plan: a plan dict that `trainables.trial.plan.Plan.from_config` accepts.
    """
    procedure = plan.get("procedure") or plan["space"]
    clauses = _dropin(plan) if procedure == "dropin" else _plasticity(plan)
    return [*clauses, _optimizer(plan)]


def _dropin(plan: Mapping[str, Any]) -> list[str]:
    if not plan["grow"]:
        return [f"train {_TRAINED[plan['train']]} for {_epochs(plan['epochs'])} without growth"]
    halves = " in two halves" if plan["grow_steps"] == 2 else ""
    return [_growth(plan) + halves, f"train {_TRAINED[plan['train']]} for {_epochs(plan['epochs'])}"]


def _plasticity(plan: Mapping[str, Any]) -> list[str]:
    begin, cut, end = plan["grow_epoch"], plan["prune_epoch"], plan["epochs"]
    cuts = bool(plan["final"])
    if not plan["grow"] and not cuts:
        return [f"train everything for {_epochs(end)} without growth and cuts"]
    clauses = []
    if plan["grow"]:
        clauses += [f"retrain for {_epochs(begin)}"] if begin else []
        clauses += [_growth(plan), f"retrain for {_epochs((cut if cuts else end) - begin)}"]
    else:
        clauses.append(f"retrain for {_epochs(cut)} without growth")
    if cuts:
        steps = "" if plan["prune_steps"] == 1 else f" in {plan['prune_steps']} steps, an epoch each"
        alike = _alike(plan["final"])
        left = ", ".join(f"{_listed(sites)} to {width}" for width, sites in alike if width)
        gone = [_listed(sites) for width, sites in alike if not width]
        what = [f"cut {left} neurons ({criteria.load(plan['criterion']).WORDS})"] if left else []
        clauses.append(" and ".join([*what, *(f"remove {sites}" for sites in gone)]) + steps)
        clauses.append(f"{_AFTER[plan['after']]} for {_epochs(end - cut - plan['prune_steps'] + 1)}")
    return clauses


def _growth(plan: Mapping[str, Any]) -> str:
    added = ", ".join(f"{count} to {_listed(sites)}" for count, sites in _alike(plan["grow"]))
    return f"add neurons {growth.load(plan['rule']).WORDS}: {added}"


def _alike(counts: Mapping[str, int]) -> list[tuple[int, list[str]]]:
    """Each count with the sites that have it, in the order of the first of them."""
    found: dict[int, list[str]] = {}
    for site, count in counts.items():
        found.setdefault(count, []).append(site)
    return list(found.items())


def _listed(sites: Sequence[str]) -> str:
    if len(sites) == 1:
        return sites[0]
    return f"{'each of ' if len(sites) > 2 else ''}{', '.join(sites[:-1])} and {sites[-1]}"


def _optimizer(plan: Mapping[str, Any]) -> str:
    parts = [plan["optimizer"], f"learning rate {_rates(plan)}"]
    if plan["schedule"] == "cosine":
        parts.append("falling as a cosine")
    if plan["weight_decay"]:
        parts.append(f"weight decay {plan['weight_decay']:g}")
    if plan["clip"]:
        parts.append(f"gradients clipped at {plan['clip']:g}")
    parts.append(f"batches of {plan['batch_size']}")
    if plan["moments"] == "carry" and (plan["grow"] or plan["final"]):
        parts.append("moments carried over")
    if plan.get("restarts"):
        parts.append(f"a fresh optimiser at epoch {' and '.join(str(epoch + 1) for epoch in plan['restarts'])}")
    return ", ".join(parts)


def _rates(plan: Mapping[str, Any]) -> str:
    """The learning rates in order, equal neighbours once, as `Plan.learning_rates` applies them."""
    growth = plan.get("grow_lr") or plan["lr"]
    rates = [*([plan["lr"]] if plan["grow_epoch"] else []), growth]
    if plan["prune_epoch"] < plan["epochs"] and plan["after"] == "finetune":
        rates.append(plan["recover_lr"])
    return ", then ".join(f"{rate:.2g}" for i, rate in enumerate(rates) if not i or rate != rates[i - 1])


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def count_text(value: float) -> str:
    """A count as people write it beside an axis: 950, 42k, 1.5M."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
