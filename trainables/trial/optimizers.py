"""The trainable parameters of a stage, and their optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from trainables import models
from trainables.models.architecture import Architecture
from trainables.surgery.grow import new_keys


def parameter_names(module: nn.Module, arch: Architecture, base: Architecture, trainable: str) -> list[str]:
    """Names of the trainable parameters.

    Args:
        module, arch: the detector.
        base: architecture of the base.
        trainable: ``all``, ``new`` (tensors that the base does not have) or ``new+head`` (and the classifier).
            Parameters that the model's file lists as ``FROZEN`` are never trainable.
    """
    file = models.load(arch.model)
    frozen: Sequence[str] = getattr(file, "FROZEN", ())
    names = [name for name, _ in module.named_parameters() if not name.startswith(tuple(frozen))]
    if trainable == "all":
        return names
    new = set(new_keys(base, arch))
    head = tuple(file.HEAD) if trainable == "new+head" else ()
    return [name for name in names if name in new or name.startswith(head)]


def build_optimizer(parameters: Sequence[nn.Parameter], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Adam or AdamW.

    Args:
        settings: ``optimizer`` (adam or adamw), ``lr``, ``weight_decay``.
    """
    kind = torch.optim.AdamW if settings["optimizer"] == "adamw" else torch.optim.Adam
    # Fused: one pass over all parameters; on CPUs a third of the default's time, on GPUs one kernel.
    return kind(list(parameters), lr=settings["lr"], weight_decay=settings["weight_decay"], fused=True)
