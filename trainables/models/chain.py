"""A detector as a chain of links, so that a forward pass can stop below what trains, and go on there later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Link:
    """A part of a detector that needs nothing of the parts before it but their output.

    Attributes:
        owns: how the names of its parameters and buffers begin; every one of a detector belongs to exactly one link.
        run: from the output tensors of the link below (the features, for the first) to its own. Never changes them in
            place.
    """

    owns: tuple[str, ...]
    run: Callable[[list[Tensor]], list[Tensor]]


class Chain(nn.Module):
    """What all detectors are: ``forward(x)`` runs every link, and the last one gives the logits ``[batch, 2]``.

    A *boundary* is a number of links: boundary 2 lies behind the second link.

    Attributes:
        scoring_batch: utterances a batch where no gradients are needed.
        gains_by_bfloat16: whether bfloat16 makes training faster on a CPU that has instructions for it.
    """

    scoring_batch = 64
    gains_by_bfloat16 = True

    def links(self) -> Sequence[Link]:
        """The links, from the features up."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[batch, 2]``; column 1 is bona fide."""
        return self.above([x], 0)

    def below(self, x: Tensor, boundary: int) -> list[Tensor]:
        """The activations at a boundary, each tensor ``[batch, ...]``."""
        tensors = [x]
        for link in self.links()[:boundary]:
            tensors = link.run(tensors)
        return tensors

    def above(self, tensors: Sequence[Tensor], boundary: int) -> Tensor:
        """The logits ``[batch, 2]``, from what `below` gave for this boundary."""
        found = list(tensors)
        for link in self.links()[boundary:]:
            found = link.run(found)
        (logits,) = found
        return logits

    def frozen_links(self) -> int:
        """The highest boundary with nothing below it that trains: 0 where the first link does."""
        trained = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        for number, link in enumerate(self.links()):
            if any(name.startswith(link.owns) for name in trained):
                return number
        return len(self.links())
