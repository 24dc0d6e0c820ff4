"""How large an architecture may be. No detector comes near; what is beyond is a slip, or somebody's bad joke.

Detectors come from others, and their weights are compared with the architecture before memory is taken for it. That
comparison itself must stay cheap whatever the description says.
"""

from __future__ import annotations

MOST_NEURONS = 2**20
"""Neurons of a group, and any other count that shapes a tensor."""
MOST_GROUPS = 256
"""Groups of a site: it has one more for each growth that cannot be joined."""
MOST_LAYERS = 256
"""Layers of a network."""


def is_count(value: object, most: int = MOST_NEURONS) -> bool:
    """Whether it is a whole number from 1 to `most`; neither ``True`` nor ``3.0`` is one."""
    return type(value) is int and 1 <= value <= most
