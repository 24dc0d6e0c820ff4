"""The layers' own initialisation, incoming and outgoing: what arXiv 2603.24343 does. It changes the function at once."""

from __future__ import annotations

from torch import Tensor

from trainables.growth import Growth
from trainables.models.site import Site


def refuses(site: Site) -> str | None:
    """Any site can start at random."""
    return None


def fill(growth: Growth) -> dict[str, Tensor]:
    """Old values, and fresh ones beside them."""
    return growth.start()
