"""Growing: a new group of neurons at a site."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.errors import DropinError
from trainables.models.architecture import Architecture


def grow(arch: Architecture, neurons: Mapping[str, int]) -> Architecture:
    """The architecture with another group of ``neurons[site]`` neurons at each named site.

    Its state dict has every key of the old one with its old shape; the other keys belong to the new neurons.

    Raises:
        DropinError: an unknown site, one that was removed, fewer than one neuron, or more than the site's limit.
    """
    sites = arch.sites()
    for name, count in neurons.items():
        if name not in sites:
            raise DropinError(f"{arch.model} has no site {name!r}; its sites are {', '.join(sites)}")
        if count < 1:
            raise DropinError(f"growth at {name} must add at least 1 neuron; got {count}: leave the site out instead")
        if not sites[name].width and sites[name].kind != "branch":
            raise DropinError(f"{name} was removed and cannot grow again: grow it before the cut")
        limit = sites[name].limit
        if limit is not None and sites[name].width + count > limit:
            raise DropinError(
                f"{name} takes at most {limit} neurons; {sites[name].width} and {count} more are too many: grow it less"
            )
    return arch.replace_widths({name: (*arch.widths[name], count) for name, count in neurons.items()})


def new_keys(old: Architecture, new: Architecture) -> tuple[str, ...]:
    """The keys of the state dict that only the grown architecture has."""
    old_keys = set(old.keys())
    keys = new.keys()
    assert old_keys <= set(keys), "growth keeps every key"
    return tuple(key for key in keys if key not in old_keys)
