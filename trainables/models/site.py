"""Sites: where the number of neurons of a detector may change, and which tensors each neuron owns.

An architecture keeps the neurons of a site in *groups*. A base has one group a site; every growth adds a group,
as new keys of the state dict, and leaves each old key with its name and shape. So growing is "build the wider
architecture and load the old weights", removing what was grown is "load fewer keys", and freezing is
``requires_grad`` on the old keys: no surgery on live modules.

A group says in `Slot`s which axis of which tensor holds its neurons. Everything in ``trainables/surgery``,
``trainables/growth`` and ``trainables/criteria`` works from these slots alone and knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["producer", "norm", "consumer", "identity", "extra"]


@dataclass(frozen=True)
class Slot:
    """One tensor of a state dict that belongs to the neurons of a group.

    Attributes:
        key: name in the model's ``state_dict()``.
        axis: the axis that holds the neurons, or ``None`` for a tensor that comes and goes with the group as a whole
            (a BatchNorm's ``num_batches_tracked``).
        role: ``producer`` (rows that compute the neurons, bias included), ``norm`` (normalisation over them),
            ``consumer`` (columns that read them), ``identity`` (a square projection of the old path that a branch adds:
            the identity matrix leaves the function as it was), ``extra`` (none of these).
        blocks: how many times the neurons are laid out one after another along the axis, outermost (3 for the gates of
            a GRU). The axis has ``blocks * width * each`` entries.
        each: entries per neuron, innermost (the head dimension where a neuron is an attention head).
    """

    key: str
    axis: int | None
    role: Role
    blocks: int = 1
    each: int = 1


@dataclass(frozen=True)
class Tap:
    """Where the activations of a group can be read: the input or output of a module, neurons on `axis`."""

    module: str
    where: Literal["input", "output"]
    axis: int
    each: int = 1


@dataclass(frozen=True)
class Group:
    """Neurons of a site that came at the same time.

    Attributes:
        width: how many neurons.
        slots: every tensor that is theirs. Producers of two groups correspond by position; what only a later group has
            stands behind what both have. Consumers of a group exist for that group alone.
        tap: where their activations can be read.
        incoming: the producer weights that carry the unit's input linearly into the neurons, one per input group: a
            convolution, a linear map, the values of a head, the input weights of a GRU (candidate gate last).
    """

    width: int
    slots: tuple[Slot, ...]
    tap: Tap
    incoming: tuple[str, ...] = ()

    def keys(self, *roles: Role) -> tuple[str, ...]:
        """Names of the tensors in these roles; of all when none is given."""
        return tuple(slot.key for slot in self.slots if not roles or slot.role in roles)


@dataclass(frozen=True)
class Site:
    """One place where the width may change.

    Attributes:
        name: unique in its model, stable over growth (``layer1.0``). Letters, digits, dots.
        kind: ``inner`` (neurons between an input and a sum), ``recurrent`` (hidden units of a layer), ``heads`` (whole
            attention heads), ``branch`` (a parallel block; width 0 where there is none) or ``stream`` (channels of a
            residual stream).
        depth: position from the input; sites of one depth are fed by the same activations; a stream has the
            depth of the last block that writes it.
        groups: the neurons, oldest first. Empty for an absent branch.
        unit: module whose input feeds the neurons and whose output they reach; hooks on it give growth rules their
            signal. A model may leave it empty where no rule needs it (branches).
        kernel: for convolutional units ``(kernel_size, stride, padding)`` of the producer, else ``None``.
        joins: whether groups can be merged into one without changing the function.
        limit: the largest sensible width, or ``None``.
        removable: whether the site may lose its last neuron: what it adds to a sum then is nothing, or a constant.
        shared: tensors beside the groups that go with the last neuron.
    """

    name: str
    kind: Literal["inner", "recurrent", "heads", "branch", "stream"]
    depth: int
    groups: tuple[Group, ...]
    unit: str = ""
    kernel: tuple[int, int, int] | None = None
    joins: bool = True
    limit: int | None = None
    removable: bool = False
    shared: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of neurons, all groups together."""
        return sum(group.width for group in self.groups)
