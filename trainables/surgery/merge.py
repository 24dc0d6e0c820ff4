"""Merging: the groups of a site become one, so that a grown detector is made of plain layers again."""

from __future__ import annotations

from trainables.models.architecture import Architecture
from trainables.models.site import Site
from trainables.surgery.transfer import Move, Transfer


def merged(arch: Architecture) -> Architecture:
    """The architecture with the groups of every site joined that joins.

    A recurrent site does not join (its old units do not read its new ones), nor does a branch; they keep their groups.
    """
    return arch.replace_widths({name: (site.width,) for name, site in arch.sites().items() if _joins(site)})


def merge(arch: Architecture) -> tuple[Architecture, Transfer]:
    """`merged`, and how its tensors come about. The function computed stays the same.

    Tensors without a neuron axis (a BatchNorm's batch counter) are the first group's.
    """
    partners: dict[str, tuple[tuple[str, ...], int]] = {}
    gone: set[str] = set()
    for site in arch.sites().values():
        if not _joins(site):
            continue
        first, rest = site.groups[0], site.groups[1:]
        for position, slot in enumerate(first.slots):
            others = tuple(group.slots[position].key for group in rest)
            gone.update(others)
            if slot.axis is not None:
                assert slot.blocks == 1, "groups laid out in blocks do not join by concatenation"
                partners[slot.key] = (others, slot.axis)
    plain = merged(arch)
    moves = []
    for key in plain.keys():
        others, axis = partners.get(key, ((), 0))
        moves.append(Move(key, tuple((source, ()) for source in (key, *others)), axis))
    assert not gone & {move.target for move in moves}
    return plain, Transfer(tuple(moves))


def _joins(site: Site) -> bool:
    return site.joins and len(site.groups) > 1
