"""What a trial will do, parsed and checked before anything is trained, with the architecture of every stage worked out.

A plan is a list of stages. Each stage may change the architecture when it begins (grow, or cut), then trains some
epochs. As growth names its neurons and cuts their number, the size of the final detector is known here.
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
from trainables.surgery.merge import merged as joined
from trainables.trial.plan_rules import checked

Widths = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Stage:
    """Some epochs with one architecture.

    Attributes:
        name: ``grow``, ``retrain``, ``prune`` or ``recover``.
        epochs: how many, at least 1.
        arch: the architecture it trains.
        grow: neurons added at its beginning.
        cut: groups left at each cut site at its beginning.
        trainable: ``all``, ``new`` (what the base did not have) or ``new+head``.
        merged: whether groups are joined after growth (only where everything trains).
        fresh_optimizer: start without moments.
        rewind: after the cut, set what is kept back to its values when growth was done.
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
    """A checked plan.

    Attributes:
        procedure: ``dropin`` or ``plasticity``: how its stages come about.
        base: the architecture it starts from.
        stages: in order; their epochs add up to `epochs`.
        final: the architecture of the finished detector, groups joined.
        config: the plan as it was given, with every default filled in.
    """

    procedure: str
    base: Architecture
    stages: tuple[Stage, ...]
    final: Architecture
    config: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def starts(self) -> list[int]:
        """The epoch, from 0, at which each stage begins."""
        return list(itertools.accumulate((stage.epochs for stage in self.stages[:-1]), initial=0))

    @property
    def last_change(self) -> int:
        """Epochs before the last growth or cut; 0 where nothing changes, or all at the beginning."""
        changes = [start for start, stage in zip(self.starts, self.stages, strict=True) if stage.grow or stage.cut]
        return max(changes, default=0)

    @property
    def first_cut(self) -> int | None:
        """Epochs before the first cut; ``None`` where nothing is cut."""
        return next((start for start, stage in zip(self.starts, self.stages, strict=True) if stage.cut), None)

    @property
    def last_cut(self) -> int:
        """Epochs before the last cut; 0 where nothing is cut."""
        return max((start for start, stage in zip(self.starts, self.stages, strict=True) if stage.cut), default=0)

    def work_done(self, epochs: int) -> float:
        """The share of the plan's work that is over after so many epochs, in [0, 1].

        An epoch counts as much as what it trains has parameters: known without measuring, and the same whenever it is
        asked for. On small detectors it takes the epochs after a cut for cheaper than they are.
        """
        work = [stage.arch.size() for stage in self.stages for _ in range(stage.epochs)]
        return sum(work[:epochs]) / sum(work)

    def learning_rates(self) -> list[float]:
        """The learning rate of every epoch. Cosine falls anew from growth on and from the last cut on."""
        c = self.config
        last_cut = c["prune_epoch"] + c["prune_steps"] - 1 if c["prune_epoch"] < c["epochs"] else c["epochs"]
        after_cut = c["recover_lr"] if c["after"] == "finetune" else c["grow_lr"]
        bounds = (0, c["grow_epoch"], last_cut, c["epochs"])
        rates: list[float] = []
        for begin, end, rate in zip(bounds, bounds[1:], (c["lr"], c["grow_lr"], after_cut), strict=False):
            for epoch in range(end - begin):
                fall = 0.5 * (1 + math.cos(math.pi * epoch / (end - begin))) if c["schedule"] == "cosine" else 1.0
                rates.append(rate * fall)
        return rates

    @classmethod
    def from_config(cls, config: Mapping[str, Any], base: Architecture) -> Plan:
        """Parse a plan for a base.

        Raises:
            DropinError: what rule it breaks, the value, and what to do.
        """
        c = checked(config)
        stages = _dropin(c, base) if c["procedure"] == "dropin" else _plasticity(c, base)
        return cls(c["procedure"], base, stages, joined(stages[-1].arch), c)


def _dropin(c: Mapping[str, Any], base: Architecture) -> tuple[Stage, ...]:
    """Grow once, or in two halves; each stage trains what was added."""
    steps = c["grow_steps"]
    if steps > min(2, c["epochs"]):
        raise DropinError(f"plan: dropin grows in 1 step, or in 2 when there are 2 epochs; got {steps}")
    if c["train"] == "new" and not _share(c["grow"], 0, steps):
        raise DropinError(
            f"plan: nothing new to train at first: grow more than {c['grow']}, in one step, or train new+head"
        )
    merged = c["train"] == "all"
    stages: list[Stage] = []
    arch, begin = base, 0
    for step in range(steps):
        end = c["epochs"] * (step + 1) // steps
        share = _share(c["grow"], step, steps)
        arch = _grown(c, arch, share, merged)
        fresh = step == 0 or c["moments"] == "reset"
        stages += _restarted(c, Stage("grow", end - begin, arch, share, {}, c["train"], merged, fresh, False), begin)
        begin = end
    return tuple(stages)


def _share(neurons: Mapping[str, int], step: int, steps: int) -> dict[str, int]:
    """What grows in this step: an even share, the larger one last."""
    shares = {name: count * (step + 1) // steps - count * step // steps for name, count in neurons.items()}
    return {name: count for name, count in shares.items() if count}


def _plasticity(c: Mapping[str, Any], base: Architecture) -> tuple[Stage, ...]:
    """Retrain, grow and retrain, cut in one or several steps, recover."""
    stages: list[Stage] = []
    reset = c["moments"] == "reset"
    first, cut, epochs = c["grow_epoch"], c["prune_epoch"], c["epochs"]
    if first:
        stages += _restarted(c, Stage("retrain", first, base, {}, {}, "all", True, True, False), 0)
    arch = _grown(c, base, c["grow"], merged=True)
    name: Literal["grow", "retrain"] = "grow" if c["grow"] else "retrain"
    fresh = not first or (reset and bool(c["grow"]))
    stages += _restarted(c, Stage(name, cut - first, arch, c["grow"], {}, "all", True, fresh, False), first)
    if cut == epochs:
        return tuple(stages)
    grown = arch.total_widths()
    for site, width in c["final"].items():
        if site not in grown:
            raise DropinError(f"plan: final names {site!r}; the sites of {base.model} are {', '.join(grown)}")
        if width > grown[site]:
            raise DropinError(f"plan: {site} has {grown[site]} neurons after growth and cannot be cut to {width}")
        if width == 0 and not arch.sites()[site].removable:
            raise DropinError(f"plan: {site} must keep at least 1 neuron: what follows reads nothing else")
    for step in range(c["prune_steps"]):
        share = (step + 1) / c["prune_steps"]
        left: Widths = {}
        for site, width in c["final"].items():
            target = round(grown[site] + (width - grown[site]) * share)
            if target < sum(arch.widths[site]):
                left[site] = cut_groups(arch.widths[site], target, c["criterion"])
        arch = arch.replace_widths({site: tuple(n for n in groups if n) for site, groups in left.items()})
        last = step == c["prune_steps"] - 1
        length = epochs - cut - step if last else 1
        rewind = last and c["after"] == "rewind_weights"
        fresh = last and (reset or c["after"] != "finetune")
        stage = Stage("recover" if last else "prune", length, arch, {}, left, "all", True, fresh, rewind)
        stages += _restarted(c, stage, cut + step)
    return tuple(stages)


def cut_groups(groups: Sequence[int], width: int, criterion: str) -> tuple[int, ...]:
    """How many neurons each group of a site keeps when `width` are left in all.

    Groups that cannot be joined are cut in proportion (largest remainders), or newest first by criterion
    ``original``, so that the size after the cut, which depends on the groups, is known before training.
    """
    total = sum(groups)
    assert 0 <= width <= total
    if criterion == "original":
        left: list[int] = []
        for group in groups:
            left.append(min(group, width - sum(left)))
        return tuple(left)
    quotas = [group * width / total for group in groups]
    left = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(groups)), key=lambda g: (left[g] - quotas[g], g))
    for g in by_remainder[: width - sum(left)]:
        left[g] += 1
    return tuple(left)


def _grown(c: Mapping[str, Any], arch: Architecture, neurons: Mapping[str, int], merged: bool) -> Architecture:
    wider = grow(arch, neurons)
    sites = arch.sites()
    for name in neurons:
        reason = growth.load(c["rule"]).refuses(sites[name])
        if reason:
            raise DropinError(f"plan: {reason}")
    return joined(wider) if merged else wider


def _restarted(c: Mapping[str, Any], stage: Stage, begin: int) -> list[Stage]:
    """The stage, cut where the optimiser is told to start afresh."""
    inside = sorted({epoch for epoch in c["restarts"] if begin <= epoch < begin + stage.epochs})
    bounds = sorted({begin, *inside, begin + stage.epochs})
    pieces = []
    for start, end in itertools.pairwise(bounds):
        first = start == begin
        pieces.append(
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
    return pieces
