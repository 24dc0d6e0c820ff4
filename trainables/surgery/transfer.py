"""Transfer of tensors from one architecture to another: by key, with selection and concatenation of neurons.

It works on anything keyed like a state dict (weights, optimiser moments, a snapshot to rewind to). Tensors are never
changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.models.site import Slot


@dataclass(frozen=True)
class Take:
    """Selection of the neurons `index` (ascending) along the axis of `slot`."""

    slot: Slot
    index: tuple[int, ...]

    def apply(self, tensor: Tensor) -> Tensor:
        """A new tensor with these neurons only."""
        slot, axis = self.slot, self.slot.axis
        assert axis is not None
        width = tensor.shape[axis] // (slot.blocks * slot.each)
        positions = torch.arange(tensor.shape[axis]).view(slot.blocks, width, slot.each)
        selected = positions[:, torch.tensor(self.index, dtype=torch.long)].reshape(-1)
        return tensor.index_select(axis, selected.to(tensor.device))


@dataclass(frozen=True)
class Move:
    """One target tensor: its sources, each after its takes, concatenated along `axis`."""

    target: str
    sources: tuple[tuple[str, tuple[Take, ...]], ...]
    axis: int = 0


@dataclass(frozen=True)
class Transfer:
    """All moves from one architecture to the next, one for each tensor of the next."""

    moves: tuple[Move, ...]

    def apply(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of the next architecture.

        Targets whose first source is missing are left out (buffers have no moments). If a target has some of its
        sources only, that is an error of the caller.
        """
        moved = {}
        for move in self.moves:
            if move.sources[0][0] not in tensors:
                continue
            parts = []
            for key, takes in move.sources:
                part = tensors[key]
                for take in takes:
                    part = take.apply(part)
                parts.append(part)
            moved[move.target] = torch.cat(parts, dim=move.axis) if len(parts) > 1 else parts[0].clone()
        return moved
