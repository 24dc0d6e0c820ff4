"""Neurons with small weights are pruned first, by the L1 norm of incoming weights.

Li et al., arXiv 1608.08710, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.criteria import Evidence
from trainables.criteria.neurons import per_neuron

WORDS = "smallest weights first"
SEARCHED = True
NEEDS_DATA = False


def scores(evidence: Evidence) -> dict[str, Tensor]:
    """Mean absolute incoming weight of each neuron, so that groups with more inputs are not favoured."""
    state = {key: value.detach().cpu() for key, value in evidence.module.state_dict().items()}
    found = {}
    for name, site in evidence.sites.items():
        parts = []
        for group in site.groups:
            slots = [slot for slot in group.slots if slot.role == "producer" and state[slot.key].dim() > 1]
            total = sum((per_neuron(state[slot.key].abs(), slot) for slot in slots), start=torch.zeros(group.width))
            entries = sum(state[slot.key].numel() for slot in slots) / group.width
            parts.append(total / entries)
        found[name] = torch.cat(parts)
    return found
