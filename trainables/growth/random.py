"""The layers' own initialisation, as in arXiv 2603.24343. It changes what the detector computes at once."""

from __future__ import annotations

from torch import Tensor

from trainables.growth import Growth
from trainables.models.site import Site

WORDS = "with random weights"
SEARCHED = True
NEEDS_SIGNAL = False


def refuses(site: Site) -> str | None:
    """Any site can grow with random weights."""
    return None


def fill(growth: Growth) -> dict[str, Tensor]:
    """Old values, and fresh ones beside them."""
    return growth.start()
