"""A training step of a detector as trials do it, from the features or from kept activations."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.storage.activations import Layout
from trainables.surgery.freeze import freeze, training_mode
from trainables.surgery.grow import grow
from trainables.surgery.merge import merge
from trainables.trial.optimizers import build_optimizer, parameter_names

ADAM = {"optimizer": "adam", "lr": 1e-4, "weight_decay": 0.0}
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Step:
    """One step on one batch, again and again.

    Attributes:
        module: what trains.
        x: the batch, features or rows of activations.
        forward: from the batch to logits.
        optimizer: of the parameters that train.
        backward: seconds of the last backward pass.
    """

    module: nn.Module
    x: Tensor
    labels: Tensor
    loss: Loss
    forward: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    backward: float = field(default=0.0)

    def run(self) -> float:
        """Do it; the seconds it took."""
        began = time.perf_counter()
        value = self.loss(self.forward(self.x), self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        middle = time.perf_counter()
        value.backward()
        self.backward = time.perf_counter() - middle
        self.optimizer.step()
        return time.perf_counter() - began

    def run_backward(self) -> float:
        """Do it; the seconds of its backward pass."""
        self.run()
        return self.backward


def full(
    arch: Architecture, growth: Mapping[str, int], x: Tensor, labels: Tensor, loss: Loss, boundary: int = 0
) -> Step:
    """Full retraining of the grown detector, as plasticity does it: groups joined, everything trains that ever does."""
    wider = merge(grow(arch, growth))[0]
    module = wider.build()
    parameters = freeze(module, parameter_names(module, wider, arch, "all"))
    training_mode(module)
    rows, forward = entering(module, x, boundary)
    return Step(module, rows, labels, loss, forward, build_optimizer(parameters, ADAM))


def dropin(
    arch: Architecture, growth: Mapping[str, int], x: Tensor, labels: Tensor, loss: Loss, boundary: int | None = 0
) -> Step:
    """Training of the new neurons alone, from a boundary on (``None``: the highest below which nothing trains)."""
    wider = grow(arch, growth)
    module = wider.build()
    parameters = freeze(module, parameter_names(module, wider, arch, "new"))
    training_mode(module)
    rows, forward = entering(module, x, module.frozen_links() if boundary is None else boundary)
    return Step(module, rows, labels, loss, forward, build_optimizer(parameters, ADAM))


def entering(module: Chain, x: Tensor, boundary: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What is fed at a boundary, float32 rows as the cache gives them, and the pass from there to logits."""
    if not boundary:
        return x, module
    with torch.no_grad():
        tensors = module.below(x, boundary)
    layout = Layout.from_tensors(tensors)
    return layout.pack(tensors).clone(), lambda rows: module.above(layout.unpack(rows), boundary)
