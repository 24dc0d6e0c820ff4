"""Merging: concatenation of the groups of a site, so that a grown detector consists of plain layers again."""

from __future__ import annotations

from trainables.models.architecture import Architecture
from trainables.models.site import Site
from trainables.surgery.transfer import Move, Transfer


def merged_architecture(arch: Architecture) -> Architecture:
    """The architecture with the groups of every site merged, where this is possible.

    The groups of a recurrent site cannot be merged (its old units have no inputs from the new ones), nor can those of a
    branch.
    """
    return arch.replace_widths({name: (site.width,) for name, site in arch.sites().items() if _can_merge(site)})


def merge(arch: Architecture) -> tuple[Architecture, Transfer]:
    """Merge groups without changing the detector's function.

    Tensors without a neuron axis (a BatchNorm's batch counter) are those of the first group.

    Returns:
        `merged_architecture`, and the transfer to its state dict.
    """
    partners: dict[str, tuple[tuple[str, ...], int]] = {}
    removed: set[str] = set()
    for site in arch.sites().values():
        if not _can_merge(site):
            continue
        first, rest = site.groups[0], site.groups[1:]
        for position, slot in enumerate(first.slots):
            others = tuple(group.slots[position].key for group in rest)
            removed.update(others)
            if slot.axis is not None:
                assert slot.blocks == 1, "tensors of several blocks cannot be concatenated"
                partners[slot.key] = (others, slot.axis)
    plain = merged_architecture(arch)
    moves = []
    for key in plain.keys():
        others, axis = partners.get(key, ((), 0))
        moves.append(Move(key, tuple((source, ()) for source in (key, *others)), axis))
    assert not removed & {move.target for move in moves}
    return plain, Transfer(tuple(moves))


def _can_merge(site: Site) -> bool:
    return site.joins and len(site.groups) > 1
