"""Random scores: the baseline that any criterion has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.criteria import Evidence

WORDS = "at random"
SEARCHED = False  # there to compare with, not to win
NEEDS_DATA = False


def scores(evidence: Evidence) -> dict[str, Tensor]:
    """Uniform in [0, 1)."""
    return {name: torch.rand(site.width, generator=evidence.generator) for name, site in evidence.sites.items()}
