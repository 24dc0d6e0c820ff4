"""Plans and counts as text, for the cards and tables of a front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainables import criteria, growth

_AFTER = {
    "finetune": "fine-tune the remaining weights",
    "rewind_weights": "rewind the remaining weights to their values at growth and retrain",
    "rewind_lr": "retrain the remaining weights with the learning rate rewound to that of growth",
}
_TRAINED = {"new": "new parameters only", "new+head": "new parameters and the classifier", "all": "all parameters"}


def plan_in_words(plan: Mapping[str, Any]) -> list[str]:
    """A plan as a list of clauses: growth, training, cuts, recovery, optimiser.

    Args:
        plan: a plan dict that `trainables.trial.plan.Plan.from_config` accepts.
    """
    procedure = plan.get("procedure") or plan["space"]
    clauses = _dropin(plan) if procedure == "dropin" else _plasticity(plan)
    return [*clauses, _optimizer(plan)]


def _dropin(plan: Mapping[str, Any]) -> list[str]:
    if not plan["grow"]:
        return [f"train {_TRAINED[plan['train']]} for {_epochs(plan['epochs'])} without growth"]
    steps = " in 2 steps" if plan["grow_steps"] == 2 else ""
    return [_growth(plan) + steps, f"train {_TRAINED[plan['train']]} for {_epochs(plan['epochs'])}"]


def _plasticity(plan: Mapping[str, Any]) -> list[str]:
    begin, cut, end = plan["grow_epoch"], plan["prune_epoch"], plan["epochs"]
    cuts = bool(plan["final"])
    if not plan["grow"] and not cuts:
        return [f"train all parameters for {_epochs(end)} without growth and cuts"]
    clauses = []
    if plan["grow"]:
        clauses += [f"retrain for {_epochs(begin)}"] if begin else []
        clauses += [_growth(plan), f"retrain for {_epochs((cut if cuts else end) - begin)}"]
    else:
        clauses.append(f"retrain for {_epochs(cut)} without growth")
    if cuts:
        steps = "" if plan["prune_steps"] == 1 else f" in {plan['prune_steps']} steps, one per epoch"
        by_width = _sites_by_count(plan["final"])
        widths = ", ".join(f"{_join(sites)} to {width}" for width, sites in by_width if width)
        removed = [_join(sites) for width, sites in by_width if not width]
        cut_sites = [f"cut {widths} neurons ({criteria.load(plan['criterion']).WORDS})"] if widths else []
        clauses.append(" and ".join([*cut_sites, *(f"remove {sites}" for sites in removed)]) + steps)
        clauses.append(f"{_AFTER[plan['after']]} for {_epochs(end - cut - plan['prune_steps'] + 1)}")
    return clauses


def _growth(plan: Mapping[str, Any]) -> str:
    added = ", ".join(f"{count} to {_join(sites)}" for count, sites in _sites_by_count(plan["grow"]))
    return f"add neurons {growth.load(plan['rule']).WORDS}: {added}"


def _sites_by_count(counts: Mapping[str, int]) -> list[tuple[int, list[str]]]:
    """Each count with its sites, in the order of the first of them."""
    groups: dict[int, list[str]] = {}
    for site, count in counts.items():
        groups.setdefault(count, []).append(site)
    return list(groups.items())


def _join(sites: Sequence[str]) -> str:
    if len(sites) == 1:
        return sites[0]
    return f"{'each of ' if len(sites) > 2 else ''}{', '.join(sites[:-1])} and {sites[-1]}"


def _optimizer(plan: Mapping[str, Any]) -> str:
    parts = [plan["optimizer"], f"learning rate {_rates(plan)}"]
    if plan["schedule"] == "cosine":
        parts.append("cosine annealing")
    if plan["weight_decay"]:
        parts.append(f"weight decay {plan['weight_decay']:g}")
    if plan["clip"]:
        parts.append(f"gradients clipped at {plan['clip']:g}")
    parts.append(f"batches of {plan['batch_size']}")
    if plan["moments"] == "carry" and (plan["grow"] or plan["final"]):
        parts.append("optimiser moments carried over")
    if plan.get("restarts"):
        parts.append(f"optimiser restarted at epoch {' and '.join(str(epoch + 1) for epoch in plan['restarts'])}")
    return ", ".join(parts)


def _rates(plan: Mapping[str, Any]) -> str:
    """The learning rates in the order of `Plan.learning_rates`, without repetitions."""
    growth = plan.get("grow_lr") or plan["lr"]
    rates = [*([plan["lr"]] if plan["grow_epoch"] else []), growth]
    if plan["prune_epoch"] < plan["epochs"] and plan["after"] == "finetune":
        rates.append(plan["recover_lr"])
    return ", then ".join(f"{rate:.2g}" for i, rate in enumerate(rates) if not i or rate != rates[i - 1])


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def count_text(value: float) -> str:
    """A count in short form: 950, 42k, 1.5M."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
