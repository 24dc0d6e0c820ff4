"""Growth rules: how the weights of new neurons are initialised. One file per rule; `NAMES` lists them.

A file defines

- ``WORDS``: what its neurons are, for plans in words: add neurons ... ("with random weights").
- ``SEARCHED``: whether a search may choose it. The order of `NAMES` is that of the choices of a study.
- ``NEEDS_SIGNAL``: whether it reads ``growth.correlate``, which costs forward and backward passes on training batches.
- ``refuses(site) -> str | None``: why this site cannot be grown by it.
- ``fill(growth) -> state dict`` of the grown architecture, in which every old tensor is as it was.

All rules but ``random`` leave the function of the detector as it was (in evaluation mode, to rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.models.site import Group, Site
from trainables.registry import Registry

NAMES = ("random", "zero", "split", "gradmax")
_RULES = Registry(__name__, "growth rule", ("WORDS", "SEARCHED", "NEEDS_SIGNAL", "refuses", "fill"))
load, searched = _RULES.load, _RULES.searched


@dataclass(frozen=True)
class Growth:
    """What a rule may look at.

    Attributes:
        before: the sites of the architecture that grows.
        after: the sites of the grown one.
        grown: the sites that got a new last group, in order of depth.
        old: state dict before growth; its tensors must not be changed.
        fresh: freshly initialised state dict of the grown architecture.
        generator: the rule's only random generator.
        correlate: for a site of `before`, the correlation of loss gradient and input, see ``growth.signal``; only for
            rules with ``NEEDS_SIGNAL``.
    """

    before: Mapping[str, Site]
    after: Mapping[str, Site]
    grown: tuple[str, ...]
    old: Mapping[str, Tensor]
    fresh: Mapping[str, Tensor]
    generator: torch.Generator
    correlate: Callable[[str], Tensor]

    def start(self) -> dict[str, Tensor]:
        """Old values where there are old tensors, copies of fresh ones elsewhere."""
        return {key: self.old[key] if key in self.old else value.clone() for key, value in self.fresh.items()}

    def new_groups(self) -> list[tuple[str, Group]]:
        """Each grown site's name and its new group, in order of depth."""
        return [(name, self.after[name].groups[-1]) for name in self.grown]
