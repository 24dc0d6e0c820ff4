"""Sums of a tensor's entries by the neuron that owns them."""

from __future__ import annotations

from torch import Tensor

from trainables.models.site import Slot


def per_neuron(tensor: Tensor, slot: Slot) -> Tensor:
    """``[width]``: the sum over all entries that belong to each neuron along the slot's axis.

    A tensor without a neuron axis is one neuron's as a whole: ``[1]``.
    """
    if slot.axis is None:
        return tensor.sum().view(1)
    lines = tensor.movedim(slot.axis, 0).flatten(1).sum(1) if tensor.dim() > 1 else tensor
    return lines.view(slot.blocks, -1, slot.each).sum(dim=(0, 2))
