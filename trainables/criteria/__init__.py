"""Pruning criteria: how important each neuron is. One file per criterion; `NAMES` lists them.

A file defines

- ``WORDS``: which neurons it prunes, for plans in words: cut to 8 neurons (...) ("smallest weights first").
- ``SEARCHED``: whether a search may choose it, in its plans and at a cut. The order of `NAMES` is that of the choices
  of a study.
- ``NEEDS_DATA``: whether it reads ``evidence.batches``.
- ``scores(evidence) -> {site: [width]}``: the importance of each neuron. Pruning keeps the neurons of the highest
  scores; of equal ones the older neuron. Scores are compared within a site only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.errors import DropinError
from trainables.models.site import Site
from trainables.registry import Registry

NAMES = ("original", "magnitude", "taylor", "activation", "random")
_CRITERIA = Registry(__name__, "criterion", ("WORDS", "SEARCHED", "NEEDS_DATA", "scores"))
load, searched = _CRITERIA.load, _CRITERIA.searched


@dataclass(frozen=True)
class Evidence:
    """What a criterion may look at.

    Attributes:
        module: the detector, in evaluation mode.
        sites: the sites whose neurons are scored, by name.
        original: per site which neurons the base had, bool ``[width]``.
        batches: inputs and labels of training data on the module's device; none without ``NEEDS_DATA``.
        loss: mean loss of logits and labels.
        generator: the criterion's only random generator.
    """

    module: nn.Module
    sites: Mapping[str, Site]
    original: Mapping[str, Tensor]
    batches: Sequence[tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    generator: torch.Generator


def choose(scores: Tensor, groups: Sequence[int], targets: Sequence[int]) -> list[int]:
    """The neurons to keep: the ``targets[g]`` best of each group, as ascending indices over all groups.

    Raises:
        DropinError: a score that is not a number, or a target beyond its group.
    """
    if not torch.isfinite(scores).all():
        raise DropinError("neurons cannot be ranked: a score is not finite; the detector has diverged")
    kept: list[int] = []
    start = 0
    for width, target in zip(groups, targets, strict=True):
        if not 0 <= target <= width:
            raise DropinError(f"cannot keep {target} of {width} neurons")
        order = torch.sort(scores[start : start + width], descending=True, stable=True).indices
        kept += sorted((order[:target] + start).tolist())
        start += width
    return kept
