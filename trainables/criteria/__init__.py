"""Which neurons stay when some must go. One file per criterion; the file name is the option's name.

A criterion file offers ``scores(evidence) -> {site: [width]}``: higher stays, equal goes to the older neuron. Scores
are compared within a site only. ``NEEDS_DATA`` says whether it looks at training data.
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
_CRITERIA = Registry(__name__, "criterion", ("NEEDS_DATA", "scores"))
load = _CRITERIA.load


@dataclass(frozen=True)
class Evidence:
    """What a criterion may look at.

    Attributes:
        module: the detector, in evaluation mode.
        sites: the sites to rank, by name.
        original: per site which neurons the base had, bool ``[width]``.
        batches: inputs and labels of training data on the module's device.
        loss: mean loss of logits and labels.
        generator: the criterion's only source of chance.
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
