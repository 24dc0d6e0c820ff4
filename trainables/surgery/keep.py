"""Pruning: only the named neurons of a site stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.surgery.transfer import Move, Take, Transfer


def keep(arch: Architecture, kept: Mapping[str, Sequence[int]]) -> tuple[Architecture, Transfer]:
    """Keep neurons ``kept[site]`` (indices over all groups of the site, oldest group first) and drop the others.

    A group that keeps none is removed with all its tensors; the groups behind it move up. Sites that are not named
    stay.

    Raises:
        DropinError: an unknown site, an index out of range or twice, or no neuron left where there must be one.
    """
    sites = arch.sites()
    widths: dict[str, tuple[int, ...]] = {}
    gone: set[str] = set()
    takes: dict[str, tuple[Take, ...]] = {}
    for name, indices in kept.items():
        if name not in sites:
            raise DropinError(f"{arch.model} has no site {name!r}; its sites are {', '.join(sites)}")
        site = sites[name]
        index = sorted(int(i) for i in indices)
        if len(set(index)) != len(index) or (index and not 0 <= index[0] <= index[-1] < site.width):
            raise DropinError(f"neurons kept at {name} must be different indices below {site.width}; got {index}")
        if not index and not site.removable:
            raise DropinError(f"{name} must keep at least 1 neuron: what follows reads nothing else")
        start, remaining = 0, []
        for group in site.groups:
            own = tuple(i - start for i in index if start <= i < start + group.width)
            start += group.width
            if not own:
                gone.update(group.keys())
                continue
            remaining.append(len(own))
            if len(own) < group.width:
                for slot in group.slots:
                    if slot.axis is not None:
                        takes[slot.key] = (*takes.get(slot.key, ()), Take(slot, own))
        widths[name] = tuple(remaining)
        if not remaining:
            gone.update(site.shared)
    smaller = arch.replace_widths(widths)
    # Modules list their groups in order, so what stays meets its new name by position.
    stays = [key for key in arch.keys() if key not in gone]
    moves = [
        Move(target, ((source, takes.get(source, ())),)) for source, target in zip(stays, smaller.keys(), strict=True)
    ]
    return smaller, Transfer(tuple(moves))
