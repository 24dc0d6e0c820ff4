"""Optimiser moments by parameter name, so that growth and pruning can transfer them like weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables.surgery.transfer import Transfer

Moments = dict[str, dict[str, Tensor]]
"""By kind of optimiser state (``exp_avg``, ``exp_avg_sq``, ``step``) and parameter name."""


def collect(optimizer: torch.optim.Optimizer, module: nn.Module) -> Moments:
    """The optimiser's state, keyed like the state dict. Parameters that never had a gradient are absent."""
    moments: Moments = {}
    for name, parameter in module.named_parameters():
        for kind, value in optimizer.state.get(parameter, {}).items():
            moments.setdefault(kind, {})[name] = torch.as_tensor(value).detach().clone()
    return moments


def restore(optimizer: torch.optim.Optimizer, module: nn.Module, moments: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Set the optimiser's state of each parameter that has moments under its name."""
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        state = {kind: values[name] for kind, values in moments.items() if name in values}
        if state and id(parameter) in own:
            # With the memory format of the parameter: fused optimisers traverse both in memory order.
            like = parameter.detach()
            optimizer.state[parameter] = {
                kind: value.to(like.device, copy=True) if kind == "step" else torch.empty_like(like).copy_(value)
                for kind, value in state.items()
            }


def carry(moments: Moments, transfer: Transfer, shapes: Mapping[str, torch.Size]) -> Moments:
    """The moments after a transfer. `shapes` are those of all parameters before it.

    A parameter without moments has zero moments if it is merged with one that has them: its first step is then that of
    a warmed-up Adam on a new gradient, (1 - beta1) / sqrt(1 - beta2) of the learning rate.
    """
    moved: Moments = {}
    for kind, values in moments.items():
        if kind == "step":
            steps = {move.target: [values[key] for key, _ in move.sources if key in values] for move in transfer.moves}
            moved[kind] = {target: torch.stack(own).max() for target, own in steps.items() if own}
            continue
        example = next(iter(values.values()))
        needed = {
            key for move in transfer.moves if any(key in values for key, _ in move.sources) for key, _ in move.sources
        }
        filled = {key: values[key] if key in values else example.new_zeros(shapes[key]) for key in needed}
        moved[kind] = transfer.apply(filled)
    return moved
