"""Neurons of least effect on the loss are pruned first: first-order Taylor importance.

Molchanov et al., arXiv 1906.10771, eq. 8:

I = (sum over a neuron's parameters of gradient times weight)^2, averaged over batches. Where a norm follows, its
scale and shift stand for the neuron (the paper's gates): the incoming weights of a normalised neuron are scale-free,
their sum is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.criteria import Evidence
from trainables.criteria.neurons import per_neuron
from trainables.models.site import Group, Slot

WORDS = "smallest effect on the loss first"
SEARCHED = True
NEEDS_DATA = True


def scores(evidence: Evidence) -> dict[str, Tensor]:
    """Mean squared first-order change of the loss if the neuron were removed."""
    parameters = dict(evidence.module.named_parameters())
    slots = {name: [_gates(g, set(parameters)) for g in site.groups] for name, site in evidence.sites.items()}
    keys = sorted({slot.key for groups in slots.values() for group in groups for slot in group})
    found = {name: torch.zeros(site.width) for name, site in evidence.sites.items()}
    required = {key: parameters[key].requires_grad for key in keys}
    try:
        for key in keys:
            parameters[key].requires_grad_(True)
        for x, y in evidence.batches:
            value = evidence.loss(evidence.module(x), y)
            gradients = torch.autograd.grad(value, [parameters[key] for key in keys])
            effect = {k: (g * parameters[k]).detach().float().cpu() for k, g in zip(keys, gradients, strict=True)}
            for name, groups in slots.items():
                sums = [sum(per_neuron(effect[slot.key], slot) for slot in group) for group in groups]
                found[name] += torch.cat([torch.as_tensor(s) for s in sums]) ** 2 / len(evidence.batches)
    finally:
        for key in keys:
            parameters[key].requires_grad_(required[key])
    return found


def _gates(group: Group, parameters: set[str]) -> list[Slot]:
    """The norm's parameters if the neurons are normalised, else their incoming weights; each tensor once."""
    norms = [slot for slot in group.slots if slot.role == "norm" and slot.key in parameters]
    chosen = norms or [slot for slot in group.slots if slot.role == "producer" and slot.key in parameters]
    unique: dict[str, Slot] = {}
    for slot in chosen:
        unique.setdefault(slot.key, slot)
    return list(unique.values())
