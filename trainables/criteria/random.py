"""Chance: the floor that any criterion has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.criteria import Evidence

NEEDS_DATA = False


def scores(evidence: Evidence) -> dict[str, Tensor]:
    """Uniform in [0, 1)."""
    return {name: torch.rand(site.width, generator=evidence.generator) for name, site in evidence.sites.items()}
