"""New neurons have random incoming and zero outgoing weights, so the function stays as it was.

The outgoing weights get a gradient at the first step, the incoming ones from the second on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.growth import Growth
from trainables.models.site import Group, Site

WORDS = "with zero outgoing weights"
SEARCHED = True
NEEDS_SIGNAL = False


def refuses(site: Site) -> str | None:
    """Any site can grow with zero outgoing weights."""
    return None


def fill(growth: Growth) -> dict[str, Tensor]:
    """Old values; fresh incoming weights, zero outgoing ones, the identity where a branch projects the old path."""
    state = growth.start()
    for _, group in growth.new_groups():
        zero_outgoing_weights(state, group)
    return state


def zero_outgoing_weights(state: dict[str, Tensor], group: Group) -> None:
    """Set the outgoing weights of a group to zero in `state`, which is changed."""
    for slot in group.slots:
        if slot.role == "consumer":
            state[slot.key] = torch.zeros_like(state[slot.key])
        elif slot.role == "identity":
            state[slot.key] = torch.eye(len(state[slot.key]), dtype=state[slot.key].dtype)
