"""Freezing: only the named parameters train, and what does not train behaves as in evaluation."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from trainables.errors import DropinError


def freeze(module: nn.Module, trainable: Collection[str]) -> list[nn.Parameter]:
    """Let only the parameters named in `trainable` receive gradients; returns them in the module's order.

    Frozen parameters drop any gradient buffer they had, and autograd no longer records what only they need.

    Raises:
        DropinError: a name that is no parameter, or nothing left to train.
    """
    parameters = dict(module.named_parameters())
    unknown = sorted(set(trainable) - set(parameters))
    if unknown:
        raise DropinError(f"cannot train {', '.join(unknown[:5])}: no such parameter in this detector")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trainable)
        if name not in trainable:
            parameter.grad = None
    chosen = [parameter for name, parameter in parameters.items() if name in trainable]
    if not chosen:
        raise DropinError("nothing to train: grow at least one site, or train the head or all")
    return chosen


def training_mode(module: nn.Module) -> None:
    """Training mode where something trains, evaluation mode in every part whose parameters are all frozen.

    What has no parameters of its own (dropout) is in training mode only beside nothing frozen. So a frozen BatchNorm
    keeps its statistics and a frozen layer drops nothing: the old function stays as it is.
    """
    module.train()
    for part in module.modules():
        trained = [parameter.requires_grad for parameter in part.parameters()]
        if trained and not any(trained):
            part.eval()
        elif not all(trained):
            for child in part.children():
                if next(child.parameters(), None) is None:
                    child.eval()
