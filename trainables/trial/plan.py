"""The plan of a trial, parsed and validated before training, with the architecture of every stage.

A plan is a list of stages. A stage may grow or cut the detector at its start, then trains for some epochs. The config
gives the numbers of neurons to add and to keep, so that the final size is known from the plan alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainables import growth
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.surgery.grow import grow
from trainables.surgery.merge import merged_architecture
from trainables.trial.plan_rules import validate

Widths = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Stage:
    """Some epochs with one architecture.

    Attributes:
        name: ``grow``, ``retrain``, ``prune`` or ``recover``.
        epochs: how many, at least 1.
        arch: the architecture that it trains.
        grow: number of neurons to add at its start, by site.
        cut: widths of the groups that each cut site keeps at its start.
        trainable: ``all``, ``new`` (tensors that the base does not have) or ``new+head``.
        merged: whether groups are merged after growth (only if all parameters train).
        fresh_optimizer: start without moments.
        rewind: after the cut, reset the remaining weights to their values right after growth.
    """

    name: Literal["grow", "retrain", "prune", "recover"]
    epochs: int
    arch: Architecture
    grow: Mapping[str, int]
    cut: Mapping[str, tuple[int, ...]]
    trainable: Literal["all", "new", "new+head"]
    merged: bool
    fresh_optimizer: bool
    rewind: bool


@dataclass(frozen=True)
class Plan:
    """A valid plan.

    Attributes:
        procedure: ``dropin`` or ``plasticity``: how its stages come about.
        base: the architecture it starts from.
        stages: in order; their epochs add up to `epochs`.
        final: the architecture of the final detector, groups merged.
        config: the plan's config with all defaults filled in.
    """

    procedure: str
    base: Architecture
    stages: tuple[Stage, ...]
    final: Architecture
    config: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """Number of epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def starts(self) -> list[int]:
        """The epoch, counted from 0, at which each stage starts."""
        return list(itertools.accumulate((stage.epochs for stage in self.stages[:-1]), initial=0))

    @property
    def last_change(self) -> int:
        """Epochs before the last growth or cut; 0 if there is none, or if it is at the start."""
        changes = [start for start, stage in zip(self.starts, self.stages, strict=True) if stage.grow or stage.cut]
        return max(changes, default=0)

    @property
    def first_cut(self) -> int | None:
        """Epochs before the first cut; ``None`` if there is none."""
        return next((start for start, stage in zip(self.starts, self.stages, strict=True) if stage.cut), None)

    @property
    def last_cut(self) -> int:
        """Epochs before the last cut; 0 if there is none."""
        return max((start for start, stage in zip(self.starts, self.stages, strict=True) if stage.cut), default=0)

    def work_done(self, epochs: int) -> float:
        """Estimated share of the plan's training time that the first `epochs` epochs take, in [0, 1].

        An epoch is weighted by the size of its architecture, which needs no measurement and is reproducible. For small
        detectors this underestimates epochs after a cut.
        """
        work = [stage.arch.size() for stage in self.stages for _ in range(stage.epochs)]
        return sum(work[:epochs]) / sum(work)

    def learning_rates(self) -> list[float]:
        """The learning rate of every epoch. Cosine annealing restarts at growth and at the last cut."""
        c = self.config
        last_cut = c["prune_epoch"] + c["prune_steps"] - 1 if c["prune_epoch"] < c["epochs"] else c["epochs"]
        after_cut = c["recover_lr"] if c["after"] == "finetune" else c["grow_lr"]
        bounds = (0, c["grow_epoch"], last_cut, c["epochs"])
        rates: list[float] = []
        for begin, end, rate in zip(bounds, bounds[1:], (c["lr"], c["grow_lr"], after_cut), strict=False):
            for epoch in range(end - begin):
                factor = 0.5 * (1 + math.cos(math.pi * epoch / (end - begin))) if c["schedule"] == "cosine" else 1.0
                rates.append(rate * factor)
        return rates

    @classmethod
    def from_config(cls, config: Mapping[str, Any], base: Architecture) -> Plan:
        """Parse a plan for a base.

        Raises:
            DropinError: the rule that it breaks, the value, and what to do.
        """
        c = validate(config)
        stages = _dropin(c, base) if c["procedure"] == "dropin" else _plasticity(c, base)
        return cls(c["procedure"], base, stages, merged_architecture(stages[-1].arch), c)


def _dropin(c: Mapping[str, Any], base: Architecture) -> tuple[Stage, ...]:
    """Grow in one or two steps; each stage trains new neurons, as the config says."""
    steps = c["grow_steps"]
    if steps > min(2, c["epochs"]):
        raise DropinError(f"plan: dropin grows in 1 step, or in 2 when there are 2 epochs; got {steps}")
    if c["train"] == "new" and not _neurons_of_step(c["grow"], 0, steps):
        raise DropinError(
            f"plan: the first step must add a neuron to train; grow is {c['grow']}: grow more, in one step, or train "
            "new+head"
        )
    merged = c["train"] == "all"
    stages: list[Stage] = []
    arch, begin = base, 0
    for step in range(steps):
        end = c["epochs"] * (step + 1) // steps
        neurons = _neurons_of_step(c["grow"], step, steps)
        arch = _grow(c, arch, neurons, merged)
        fresh = step == 0 or c["moments"] == "reset"
        stage = Stage("grow", end - begin, arch, neurons, {}, c["train"], merged, fresh, False)
        stages += _split_at_restarts(c, stage, begin)
        begin = end
    return tuple(stages)


def _neurons_of_step(neurons: Mapping[str, int], step: int, steps: int) -> dict[str, int]:
    """Neurons to add in this step, by site: equal parts, of which the last are the larger ones."""
    counts = {name: count * (step + 1) // steps - count * step // steps for name, count in neurons.items()}
    return {name: count for name, count in counts.items() if count}


def _plasticity(c: Mapping[str, Any], base: Architecture) -> tuple[Stage, ...]:
    """Retrain, grow and retrain, cut in one or several steps, recover."""
    stages: list[Stage] = []
    reset = c["moments"] == "reset"
    first, cut, epochs = c["grow_epoch"], c["prune_epoch"], c["epochs"]
    if first:
        stages += _split_at_restarts(c, Stage("retrain", first, base, {}, {}, "all", True, True, False), 0)
    arch = _grow(c, base, c["grow"], merged=True)
    name: Literal["grow", "retrain"] = "grow" if c["grow"] else "retrain"
    fresh = not first or (reset and bool(c["grow"]))
    stages += _split_at_restarts(c, Stage(name, cut - first, arch, c["grow"], {}, "all", True, fresh, False), first)
    if cut == epochs:
        return tuple(stages)
    grown = arch.total_widths()
    for site, width in c["final"].items():
        if site not in grown:
            raise DropinError(f"plan: final names {site!r}; the sites of {base.model} are {', '.join(grown)}")
        if width > grown[site]:
            raise DropinError(f"plan: {site} has {grown[site]} neurons after growth and cannot be cut to {width}")
        if width == 0 and not arch.sites()[site].removable:
            raise DropinError(f"plan: {site} must keep at least 1 neuron: the next layer has no other input")
    for step in range(c["prune_steps"]):
        progress = (step + 1) / c["prune_steps"]
        kept: Widths = {}
        for site, width in c["final"].items():
            target = round(grown[site] + (width - grown[site]) * progress)
            if target < sum(arch.widths[site]):
                kept[site] = cut_groups(arch.widths[site], target, c["criterion"])
        arch = arch.replace_widths({site: tuple(n for n in groups if n) for site, groups in kept.items()})
        last = step == c["prune_steps"] - 1
        length = epochs - cut - step if last else 1
        rewind = last and c["after"] == "rewind_weights"
        fresh = last and (reset or c["after"] != "finetune")
        stage = Stage("recover" if last else "prune", length, arch, {}, kept, "all", True, fresh, rewind)
        stages += _split_at_restarts(c, stage, cut + step)
    return tuple(stages)


def cut_groups(groups: Sequence[int], width: int, criterion: str) -> tuple[int, ...]:
    """How many neurons each group of a site keeps, `width` in all.

    Groups that cannot be merged are cut in proportion (largest remainder method), or newest first with criterion
    ``original``, so that the size after the cut, which depends on the groups, is known before training.
    """
    total = sum(groups)
    assert 0 <= width <= total
    if criterion == "original":
        kept: list[int] = []
        for group in groups:
            kept.append(min(group, width - sum(kept)))
        return tuple(kept)
    quotas = [group * width / total for group in groups]
    kept = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(groups)), key=lambda g: (kept[g] - quotas[g], g))
    for g in by_remainder[: width - sum(kept)]:
        kept[g] += 1
    return tuple(kept)


def _grow(c: Mapping[str, Any], arch: Architecture, neurons: Mapping[str, int], merged: bool) -> Architecture:
    wider = grow(arch, neurons)
    sites = arch.sites()
    for name in neurons:
        reason = growth.load(c["rule"]).refuses(sites[name])
        if reason:
            raise DropinError(f"plan: {reason}")
    return merged_architecture(wider) if merged else wider


def _split_at_restarts(c: Mapping[str, Any], stage: Stage, begin: int) -> list[Stage]:
    """Split a stage that starts at epoch `begin` at the epochs at which the plan restarts the optimiser."""
    inside = sorted({epoch for epoch in c["restarts"] if begin <= epoch < begin + stage.epochs})
    bounds = sorted({begin, *inside, begin + stage.epochs})
    stages = []
    for start, end in itertools.pairwise(bounds):
        first = start == begin
        stages.append(
            Stage(
                stage.name,
                end - start,
                stage.arch,
                stage.grow if first else {},
                stage.cut if first else {},
                stage.trainable,
                stage.merged,
                stage.fresh_optimizer if first and start not in inside else True,
                stage.rewind and first,
            )
        )
    return stages
