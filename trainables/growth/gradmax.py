"""New neurons maximise the gradient: incoming weights from singular vectors, outgoing weights zero.

GradMax (Evci, van Merrienboer, Unterthiner, Vladymyrov, Pedregosa, arXiv 2201.05125, section 3.2) sets the incoming
weights to zero and the outgoing ones to the top *left* singular vectors of the correlation M of loss gradient and
input, which maximises the gradient norm of the incoming weights. That needs an activation with a slope at zero;
behind ReLU and BatchNorm such neurons are dead. This is the same argument from the other end: outgoing weights are
zero and the incoming ones are the top *right* singular vectors of M, which maximises the gradient norm of the
outgoing weights,

    max || M W^T ||_F  over orthonormal rows of W,

with the activation taken as linear. The function stays, and no activation is excluded.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from trainables.growth import Growth
from trainables.growth.zero import zero_outgoing_weights
from trainables.models.site import Site

WORDS = "that maximise the gradient norm"
SEARCHED = True
NEEDS_SIGNAL = True


def refuses(site: Site) -> str | None:
    """The rule needs a unit whose input and output can be observed."""
    if not site.groups or not site.unit or not site.groups[0].incoming:
        return f"{site.name} has no input and output for gradmax to correlate: grow it by random or zero"
    return None


def fill(growth: Growth) -> dict[str, Tensor]:
    """Old values; singular vectors as long as the old rows are on average; outgoing weights zero."""
    state = growth.start()
    for name, group in growth.new_groups():
        old_keys = growth.before[name].groups[0].incoming
        slots = {slot.key: slot for slot in group.slots if slot.axis == 0}
        rows = group.width * slots[group.incoming[0]].each
        directions = top_directions(growth.correlate(name), rows)
        start = 0
        for key, old_key in zip(group.incoming, old_keys, strict=False):  # an input that grows now has no signal yet
            weight = state[key]
            flat = weight.flatten(1).clone()
            part = directions[:, start : start + flat.shape[1]]
            start += flat.shape[1]
            block = flat[len(flat) - rows :]  # all rows, or the last gate of a GRU: the candidate
            block[: len(part)] = part * growth.old[old_key].flatten(1).norm(dim=1).mean()
            state[key] = flat.view_as(weight)
        zero_outgoing_weights(state, group)
    return state


def top_directions(correlation: Tensor, count: int) -> Tensor:
    """The `count` right singular vectors with the largest singular values, as rows (fewer at full rank)."""
    # Eigenvectors of the Gram matrix, only those that are wanted: less than half the time of all of them, which is a
    # fifth of that of a singular value decomposition; exact enough at the top.
    matrix = correlation.float() / correlation.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    inputs, wanted = matrix.shape[1], min(count, *matrix.shape)
    _, vectors = scipy.linalg.eigh((matrix.T @ matrix).cpu().numpy(), subset_by_index=[inputs - wanted, inputs - 1])
    # Turned round by torch: it takes no negative strides, which numpy leaves where there is one vector only.
    return torch.from_numpy(np.ascontiguousarray(vectors.T)).flip(0)
