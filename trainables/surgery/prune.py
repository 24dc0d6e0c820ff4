"""Structured pruning: a site keeps the given neurons only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.surgery.transfer import Move, Take, Transfer


def prune(arch: Architecture, kept: Mapping[str, Sequence[int]]) -> tuple[Architecture, Transfer]:
    """Remove all neurons of some sites but ``kept[site]`` (indices over all groups of the site, oldest group first).

    A group that keeps none is removed with all its tensors, and the later groups are renumbered. Sites that are not
    named do not change.

    Returns:
        The smaller architecture, and the transfer to its state dict.

    Raises:
        DropinError: an unknown site, an index out of range or twice, or no neuron left where there must be one.
    """
    sites = arch.sites()
    widths: dict[str, tuple[int, ...]] = {}
    removed: set[str] = set()
    takes: dict[str, tuple[Take, ...]] = {}
    for name, indices in kept.items():
        if name not in sites:
            raise DropinError(f"{arch.model} has no site {name!r}; its sites are {', '.join(sites)}")
        site = sites[name]
        index = sorted(int(i) for i in indices)
        if len(set(index)) != len(index) or (index and not 0 <= index[0] <= index[-1] < site.width):
            raise DropinError(f"neurons kept at {name} must be different indices below {site.width}; got {index}")
        if not index and not site.removable:
            raise DropinError(f"{name} must keep at least 1 neuron: the next layer has no other input")
        start, remaining = 0, []
        for group in site.groups:
            own = tuple(i - start for i in index if start <= i < start + group.width)
            start += group.width
            if not own:
                removed.update(group.keys())
                continue
            remaining.append(len(own))
            if len(own) < group.width:
                for slot in group.slots:
                    if slot.axis is not None:
                        takes[slot.key] = (*takes.get(slot.key, ()), Take(slot, own))
        widths[name] = tuple(remaining)
        if not remaining:
            removed.update(site.shared)
    smaller = arch.replace_widths(widths)
    # Modules list their groups in order, so remaining keys correspond to new ones by position.
    remaining_keys = [key for key in arch.keys() if key not in removed]
    moves = [
        Move(target, ((source, takes.get(source, ())),))
        for source, target in zip(remaining_keys, smaller.keys(), strict=True)
    ]
    return smaller, Transfer(tuple(moves))
