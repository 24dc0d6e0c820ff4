"""The least active neurons are pruned first: mean absolute activation on training data.

After Hu et al., arXiv 1607.03250, who count how often an activation is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainables.criteria import Evidence
from trainables.models.site import Tap

WORDS = "least active first"
SEARCHED = True
NEEDS_DATA = True


def scores(evidence: Evidence) -> dict[str, Tensor]:
    """Mean absolute activation of each neuron over utterances and positions."""
    sums: dict[tuple[str, int], Tensor] = {}
    hooks = []
    for name, site in evidence.sites.items():
        for position, group in enumerate(site.groups):
            module = evidence.module.get_submodule(group.tap.module)
            hooks.append(_accumulate(module, group.tap, sums, (name, position)))
    try:
        with torch.no_grad():
            for x, _ in evidence.batches:
                evidence.module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: torch.cat([sums[name, g] for g in range(len(site.groups))]) / len(evidence.batches)
        for name, site in evidence.sites.items()
    }


def _accumulate(module: nn.Module, tap: Tap, sums: dict[tuple[str, int], Tensor], key: tuple[str, int]) -> Any:
    """Add each batch's mean absolute activations to ``sums[key]``."""

    def add(value: Any) -> None:
        tensor = value if isinstance(value, Tensor) else value[0]
        lines = tensor.detach().abs().movedim(tap.axis, 0).flatten(1).mean(1).float().cpu()
        mean = lines.view(-1, tap.each).mean(1)
        sums[key] = sums[key] + mean if key in sums else mean

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        add(inputs[0])

    def after(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        add(output)

    register: Callable[..., Any] = (
        module.register_forward_pre_hook if tap.where == "input" else module.register_forward_hook
    )
    return register(before if tap.where == "input" else after)
