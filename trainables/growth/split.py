"""New neurons are split off old ones, in pairs of twins whose outgoing weights cancel.

Net2WiderNet (Chen, Goodfellow, Shlens, arXiv 1511.05641, section 2.2) copies a neuron and halves the outgoing weights
of both. Halving would change old weights, which dropin freezes and which removal could not give back; so each drawn
parent gets *two* copies instead, reading with its incoming weights and feeding its outgoing weights times +1/2 and
-1/2. The function stays, old tensors stay, and from the first step the twins' incoming weights get opposite
gradients, so they diverge. The last of an odd number is a copy with zero outgoing weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.growth import Growth
from trainables.models.site import Group, Site, Slot

WORDS = "split from existing ones"
SEARCHED = True
NEEDS_SIGNAL = False


def refuses(site: Site) -> str | None:
    """A site without neurons has no parents."""
    return None if site.groups else f"{site.name} has no neurons yet to split: grow it by random or zero"


def fill(growth: Growth) -> dict[str, Tensor]:
    """Old values; twins of randomly drawn parents of the site's first group."""
    state = growth.start()
    for name, group in growth.new_groups():
        parents = growth.after[name].groups[0]
        twins = _draw_parents(group.width, parents.width, growth.generator)
        _copy_rows(state, group, parents, twins)
        _copy_columns(state, group, parents, twins)
    return state


def _draw_parents(count: int, parents: int, generator: torch.Generator) -> Tensor:
    """A parent for each new neuron; neurons 2i and 2i + 1 share one. No parent twice before all were drawn once."""
    pairs = (count + 1) // 2
    rounds = -(-pairs // parents)
    order = torch.cat([torch.randperm(parents, generator=generator) for _ in range(rounds)])
    return order[:pairs].repeat_interleave(2)[:count]


def _copy_rows(state: dict[str, Tensor], group: Group, parents: Group, twins: Tensor) -> None:
    """Incoming weights and norms: the parent's, or where the parent has no such tensor, the same for both twins."""
    done: set[str] = set()
    for role in ("producer", "norm"):
        own = [slot for slot in group.slots if slot.role == role]
        theirs = [slot for slot in parents.slots if slot.role == role]
        for position, slot in enumerate(own):
            if slot.key in done:  # a second slot of the tensor: its columns, which need no copy once the rows are alike
                continue
            done.add(slot.key)
            source = theirs[position] if position < len(theirs) else None
            if source is not None and _same_but_for(state[source.key], source, state[slot.key], slot):
                rows = _positions(source, parents.width, twins)
                state[slot.key] = state[source.key].index_select(_axis(source), rows).clone()
            else:
                alike = torch.arange(group.width) // 2 * 2
                rows = _positions(slot, group.width, alike)
                state[slot.key] = state[slot.key].index_select(_axis(slot), rows)


def _copy_columns(state: dict[str, Tensor], group: Group, parents: Group, twins: Tensor) -> None:
    """Outgoing weights: plus and minus half the parent's, or half a fresh one where the parent has none."""
    sign = torch.tensor([0.5, -0.5]).repeat((group.width + 1) // 2)[: group.width]
    if group.width % 2:
        sign[-1] = 0.0
    consumers = [slot for slot in parents.slots if slot.role == "consumer"]
    for position, slot in enumerate(slot for slot in group.slots if slot.role == "consumer"):
        source = consumers[position] if position < len(consumers) else slot
        axis = _axis(slot)
        if source is not slot and _same_but_for(state[source.key], source, state[slot.key], slot):
            columns = state[source.key].index_select(axis, _positions(source, parents.width, twins))
        else:
            alike = torch.arange(group.width) // 2 * 2
            columns = state[slot.key].index_select(axis, _positions(slot, group.width, alike))
        shape = [1] * columns.dim()
        shape[axis] = -1
        factor = sign.repeat_interleave(slot.each).repeat(slot.blocks).view(shape).to(columns.dtype)
        state[slot.key] = columns * factor


def _positions(slot: Slot, width: int, neurons: Tensor) -> Tensor:
    """Where the entries of these neurons lie along the slot's axis."""
    grid = torch.arange(slot.blocks * width * slot.each).view(slot.blocks, width, slot.each)
    return grid[:, neurons].reshape(-1)


def _same_but_for(theirs: Tensor, source: Slot, own: Tensor, slot: Slot) -> bool:
    """Whether two tensors agree in every axis but the neurons'."""
    if source.axis != slot.axis or theirs.dim() != own.dim() or source.blocks != slot.blocks:
        return False
    return all(theirs.shape[a] == own.shape[a] for a in range(own.dim()) if a != slot.axis)


def _axis(slot: Slot) -> int:
    assert slot.axis is not None, "neurons lie along an axis"
    return slot.axis
