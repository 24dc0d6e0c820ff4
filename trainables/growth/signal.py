"""The correlation of loss gradient and input at a detector's units: the matrix whose singular vectors gradmax takes.

For a unit y = C act(P x) with loss L it is M = sum over samples and positions of (dL/dy) x^T, ``[outputs, inputs]``. Of
a convolution, input and gradient are taken as patches (as in Evci et al., arXiv 2201.05125, appendix on convolutions),
since the producer looks at a patch of x and every new channel is read by a patch of y:
``[channels_out * 9, channels_in * kernel**2]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.models.site import Site


def correlations(
    module: nn.Module,
    sites: Sequence[Site],
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """M for each site, summed over the batches, float32 on the CPU. The module's gradients are left as they were.

    Args:
        module: the detector, in evaluation mode while this runs.
        sites: sites with a ``unit``.
        batches: inputs and labels on the module's device.
        loss: mean loss of logits and labels.
    """
    sums: dict[str, Tensor] = {}
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(site: Site) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_: nn.Module, inputs: Any, output: Any) -> None:
            outputs = _tensors(output)
            seen[site.name] = (_joined(_tensors(inputs[0])).detach(), _joined(outputs))

        return hook

    hooks = [module.get_submodule(site.unit).register_forward_hook(watch(site)) for site in sites]
    was_training = module.training
    required = [parameter.requires_grad for parameter in module.parameters()]
    module.eval()
    try:
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        for x, y in batches:
            value = loss(module(x), y)
            gradients = torch.autograd.grad(value, [seen[site.name][1] for site in sites])
            for site, gradient in zip(sites, gradients, strict=True):
                matrix = _correlate(site, seen[site.name][0], gradient).float().cpu()
                sums[site.name] = sums[site.name] + matrix if site.name in sums else matrix
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, requires in zip(module.parameters(), required, strict=True):
            parameter.requires_grad_(requires)
        module.train(was_training)
    return sums


def _correlate(site: Site, x: Tensor, gradient: Tensor) -> Tensor:
    if site.kernel is None:
        return gradient.flatten(0, -2).T @ x.flatten(0, -2)
    kernel, stride, padding = site.kernel
    patches = functional.unfold(x, kernel, padding=padding, stride=stride)
    readers = functional.unfold(gradient, 3, padding=1)
    return readers.transpose(0, 1).flatten(1) @ patches.transpose(0, 1).flatten(1).T


def _tensors(value: Any) -> list[Tensor]:
    """The activations in what a module took or gave: itself, a list of groups, or the first of a tuple (attention)."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list):
        return value
    return [value[0]]


def _joined(groups: list[Tensor]) -> Tensor:
    if len(groups) == 1:
        return groups[0]
    return torch.cat(groups, dim=1 if groups[0].dim() == 4 else -1)
