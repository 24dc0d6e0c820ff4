"""A transfer: which tensors of one architecture become which of another, and which of their neurons go along.

It works on anything keyed like a state dict (weights, optimiser moments, a snapshot to rewind to), so all of them are
cut and joined by one piece of code. Tensors are never changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.models.site import Slot


@dataclass(frozen=True)
class Take:
    """Neurons `index` (ascending) of the axis that `slot` describes."""

    slot: Slot
    index: tuple[int, ...]

    def of(self, tensor: Tensor) -> Tensor:
        """A new tensor with only these neurons along the slot's axis."""
        slot, axis = self.slot, self.slot.axis
        assert axis is not None
        width = tensor.shape[axis] // (slot.blocks * slot.each)
        positions = torch.arange(tensor.shape[axis]).view(slot.blocks, width, slot.each)
        chosen = positions[:, torch.tensor(self.index, dtype=torch.long)].reshape(-1)
        return tensor.index_select(axis, chosen.to(tensor.device))


@dataclass(frozen=True)
class Move:
    """How one target tensor comes about: each source cut by its takes, then joined along `axis`."""

    target: str
    sources: tuple[tuple[str, tuple[Take, ...]], ...]
    axis: int = 0


@dataclass(frozen=True)
class Transfer:
    """All moves from one architecture to the next; one per tensor of the next."""

    moves: tuple[Move, ...]

    def apply(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of the next architecture.

        Targets whose first source is missing are left out (buffers have no moments); a source missing beside present
        ones is an error of the caller.
        """
        moved = {}
        for move in self.moves:
            if move.sources[0][0] not in tensors:
                continue
            parts = []
            for key, takes in move.sources:
                part = tensors[key]
                for take in takes:
                    part = take.of(part)
                parts.append(part)
            moved[move.target] = torch.cat(parts, dim=move.axis) if len(parts) > 1 else parts[0].clone()
        return moved
