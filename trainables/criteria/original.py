"""Added neurons are pruned first: the paper's own way back to the original size (arXiv 2603.24343)."""

from __future__ import annotations

from torch import Tensor

from trainables.criteria import Evidence

WORDS = "newest first"
SEARCHED = True
NEEDS_DATA = False


def scores(evidence: Evidence) -> dict[str, Tensor]:
    """1 for a neuron of the base, 0 for an added one."""
    return {name: evidence.original[name].float() for name in evidence.sites}
