"""Growing a detector: the grown architecture, and its state dict, which a growth rule initialises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from trainables import growth
from trainables.growth.signal import correlations
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.surgery.grow import grow
from trainables.trial.training import Loss


def grow_detector(
    module: Chain,
    arch: Architecture,
    neurons: Mapping[str, int],
    rule: str,
    *,
    seed: int,
    generator: torch.Generator,
    batches: Callable[[], Sequence[tuple[Tensor, Tensor]]],
    loss: Loss,
) -> tuple[Architecture, dict[str, Tensor]]:
    """The grown architecture, in which the new neurons are groups of their own, and its state dict on the CPU.

    Args:
        module, arch: the detector before growth.
        neurons: how many to add, by site.
        rule: a name of ``trainables.growth.NAMES``.
        seed: of the default initialisation that rules start from.
        generator: random numbers of the rule.
        batches: returns the calibration batches (training data) of a rule with ``NEEDS_SIGNAL``.
        loss: mean loss of logits and labels, whose gradient such a rule reads.
    """
    wider = grow(arch, neurons)
    before, after = arch.sites(), wider.sites()
    with torch.random.fork_rng(devices=[]):  # initialisation draws from the global generator
        torch.manual_seed(seed)
        fresh = wider.build().state_dict()
    signals: dict[str, Tensor] = {}
    file = growth.load(rule)
    if file.NEEDS_SIGNAL:
        signals = correlations(module, [before[name] for name in neurons], batches(), loss)
    sites = tuple(name for name in after if name in neurons)
    old = {key: value.cpu() for key, value in module.state_dict().items()}
    state = file.fill(growth.Growth(before, after, sites, old, fresh, generator, signals.__getitem__))
    return wider, dict(state)
