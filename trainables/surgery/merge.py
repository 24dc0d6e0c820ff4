"""Merging: the groups of a site become one, so that a grown detector is made of plain layers again."""

from __future__ import annotations

from trainables.models.architecture import Architecture
from trainables.surgery.transfer import Move, Transfer


def merge(arch: Architecture) -> tuple[Architecture, Transfer]:
    """Join the groups of every site that joins. The function computed stays the same.

    A recurrent site does not join (its old units do not read its new ones), nor does a branch; they keep their groups.
    Tensors without a neuron axis (a BatchNorm's batch counter) are the first group's.
    """
    joined: dict[str, tuple[int, ...]] = {}
    partners: dict[str, tuple[tuple[str, ...], int]] = {}
    gone: set[str] = set()
    for name, site in arch.sites().items():
        if not site.joins or len(site.groups) < 2:
            continue
        joined[name] = (site.width,)
        first, rest = site.groups[0], site.groups[1:]
        for position, slot in enumerate(first.slots):
            others = tuple(group.slots[position].key for group in rest)
            gone.update(others)
            if slot.axis is not None:
                assert slot.blocks == 1, "groups laid out in blocks do not join by concatenation"
                partners[slot.key] = (others, slot.axis)
    merged = arch.replace_widths(joined)
    moves = []
    for key in merged.keys():
        others, axis = partners.get(key, ((), 0))
        moves.append(Move(key, tuple((source, ()) for source in (key, *others)), axis))
    assert not gone & {move.target for move in moves}
    return merged, Transfer(tuple(moves))
