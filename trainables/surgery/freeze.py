"""Freezing: the trainable parameters, and evaluation mode for frozen modules."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from trainables.errors import DropinError


def freeze(module: nn.Module, trainable: Collection[str]) -> list[nn.Parameter]:
    """Require gradients of the parameters in `trainable` only, and return these in the module's order.

    Gradients of frozen parameters are deleted, and autograd skips the operations that only they need.

    Raises:
        DropinError: a name that is no parameter, or no trainable parameter.
    """
    parameters = dict(module.named_parameters())
    unknown = sorted(set(trainable) - set(parameters))
    if unknown:
        raise DropinError(f"cannot train {', '.join(unknown[:5])}: no such parameter in this detector")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trainable)
        if name not in trainable:
            parameter.grad = None
    selected = [parameter for name, parameter in parameters.items() if name in trainable]
    if not selected:
        raise DropinError("no parameter is trainable: grow at least one site, or train the head or all")
    return selected


def training_mode(module: nn.Module) -> None:
    """Set training mode, but evaluation mode in every submodule whose parameters are all frozen.

    A submodule without parameters (dropout) is in training mode only if its parent has no frozen parameter. So a frozen
    BatchNorm keeps its statistics and a frozen layer has no dropout: the function of the base does not change.
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
