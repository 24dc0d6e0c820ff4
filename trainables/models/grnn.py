"""A stack of GRU layers on cepstra, each layer cut into groups of hidden units.

``[64, 64, 32, 32]`` units on 20 coefficients, the last state and a linear map to two logits: 57,282 parameters, the
recurrent detector of arXiv 2603.24343. Of the groups of a layer, the first is a plain GRU over the layer's input
``x_t``. Group g > 0 is a plain GRU over ``[x_t, h_(t-1) of the groups before it]``: new units read the state of old
ones, old units never read new ones, the next layer reads all. So each group runs through time in one fused call, and a
group that does not train has no backward pass.

Each reader keeps one piece of its input weight per group that it reads, and joins the pieces only for the call. Two
costs of that are known. An old group whose layer below has grown runs its whole recurrence backwards, since new columns
of it train. And on CUDA the weights are not one chunk of memory: cuDNN copies them at each call, and PyTorch warns of
that, once per process under Python's usual filters.

Sizes differ slightly from hand-made cells that carry a third bias: 64 more units in layer 1 give 100,674 parameters
here and 192 more (3 gates of 64 units), 100,866, there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import DropinError
from trainables.models.bounds import MOST_LAYERS, MOST_NEURONS, is_count
from trainables.models.chain import Chain, Link
from trainables.models.options import complete
from trainables.models.site import Group, Site, Slot, Tap

FRONT_END = "lfcc"
RECIPE: Mapping[str, Any] = {
    "optimizer": "adam",
    "lr": 1e-4,
    "weight_decay": 0.0,
    "batch_size": 32,
    "clip": 0.0,
    "loss": "hinge",
}
SEARCH_OPTIONS: Mapping[str, Any] = {}
SERIAL = True
"""Steps through time are too small to share: several threads a process are slower than one."""

HEAD = ("head.",)
"""How the names of the classifier's parameters begin."""

COEFFICIENTS = 20
GATES = 3


def resolve(options: Mapping[str, Any]) -> dict[str, Any]:
    """Checked, complete configuration: ``layers``, the hidden units of each layer (the paper's: 64, 64, 32, 32).

    Raises:
        DropinError: an unknown option, or layers that are not a list of whole numbers of at least 1.
    """
    config = complete("grnn", options, {"layers": [64, 64, 32, 32]})
    layers = config["layers"]
    if not isinstance(layers, (list, tuple)) or not 1 <= len(layers) <= MOST_LAYERS or not all(map(is_count, layers)):
        raise DropinError(
            f"grnn: layers must be a list of 1 to {MOST_LAYERS} whole numbers from 1 to {MOST_NEURONS} such as "
            f"[64, 64, 32, 32]; got {str(layers)[:80]}"
        )
    return {"layers": list(layers)}


def base_widths(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """One group per layer."""
    return {f"gru.{layer}": (units,) for layer, units in enumerate(config["layers"])}


def sites(config: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> tuple[Site, ...]:
    """The hidden units of each layer, first layer first."""
    counts = [len(widths[f"gru.{layer}"]) for layer in range(len(config["layers"]))]
    found = []
    for layer in range(len(counts)):
        name = f"gru.{layer}"
        groups = tuple(_group(counts, layer, group, width) for group, width in enumerate(widths[name]))
        found.append(Site(name, "recurrent", layer, groups, unit=name, joins=False))
    return tuple(found)


def build(config: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> GRNN:
    """The network with these widths, freshly initialised."""
    return GRNN([widths[f"gru.{layer}"] for layer in range(len(config["layers"]))])


class Units(nn.Module):
    """A group of hidden units: a one-layer GRU whose input weight comes in one piece per group that it reads.

    Weights are uniform within 1/sqrt(width), like those of ``nn.GRU``, and laid out like its own: rows are the reset,
    update and candidate gates.
    """

    def __init__(self, below: Sequence[int], beside: Sequence[int], width: int) -> None:
        super().__init__()
        pieces = [(f"below{group}", read) for group, read in enumerate(below)]
        pieces += [(f"beside{group}", read) for group, read in enumerate(beside)]
        rows = GATES * width
        self.weight_hh = nn.Parameter(torch.empty(rows, width))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        self.weight_ih = nn.ParameterDict([(name, torch.empty(rows, read)) for name, read in pieces])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(self, below: Sequence[Tensor], beside: Sequence[Tensor]) -> Tensor:
        """States ``[batch, time, width]``, from the layer's inputs and the states of the groups before this one."""
        x = torch.cat([*below, *(_delayed(state) for state in beside)], dim=2)
        weights = [torch.cat(list(self.weight_ih.values()), dim=1), self.weight_hh, self.bias_ih, self.bias_hh]
        start = x.new_zeros(1, len(x), self.weight_hh.shape[1])
        # cuDNN keeps what a backward pass needs only in "training"; there is no dropout that this would turn on.
        training = torch.is_grad_enabled()
        states: Tensor = torch.gru(x, start, weights, True, 1, 0.0, training, False, True)[0]
        return states


class Layer(nn.Module):
    """All groups of a layer."""

    def __init__(self, inputs: Sequence[int], groups: Sequence[int]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(Units(inputs, groups[:index], width) for index, width in enumerate(groups))

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The states ``[batch, time, width]`` of each group, from the states of each group of the layer below."""
        states: list[Tensor] = []
        for part in self.parts:
            states.append(part(inputs, states))
        return states


class Head(nn.Module):
    """A linear map to two logits, one weight per group that it reads."""

    def __init__(self, inputs: Sequence[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(2))
        nn.init.uniform_(self.bias, -(inputs[0] ** -0.5), inputs[0] ** -0.5)
        self.parts = nn.ModuleList(nn.Linear(width, 2, bias=False) for width in inputs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits ``[batch, 2]`` from each group's ``[batch, width]``."""
        logits: Tensor = self.bias
        for part, x in zip(self.parts, inputs, strict=True):
            logits = logits + part(x)
        return logits


class GRNN(Chain):
    """Cepstra ``[batch, time, 20]`` to logits ``[batch, 2]``. Links: every layer, the head."""

    scoring_batch = 256  # steps through time are many and small
    gains_by_bfloat16 = False  # every one of them converts its weights

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        inputs = [(COEFFICIENTS,), *groups[:-1]]
        self.gru = nn.ModuleList(Layer(below, own) for below, own in zip(inputs, groups, strict=True))
        self.head = Head(groups[-1])

    def links(self) -> list[Link]:
        """The layers, then the head on their last states."""
        layers = [Link((f"gru.{number}.",), layer) for number, layer in enumerate(self.gru)]
        return [*layers, Link(("head.",), lambda states: [self.head([state[:, -1] for state in states])])]


def _delayed(states: Tensor) -> Tensor:
    """States ``[batch, time, width]`` one step later: zeros first, the last one dropped."""
    return functional.pad(states, (0, 0, 1, -1))


def _group(counts: Sequence[int], layer: int, group: int, width: int) -> Group:
    """The tensors of one group, given the number of groups of each layer."""
    part = f"gru.{layer}.parts.{group}"
    incoming = tuple(f"{part}.weight_ih.below{below}" for below in range(counts[layer - 1] if layer else 1))
    if layer + 1 < len(counts):
        readers = [f"gru.{layer + 1}.parts.{reader}.weight_ih.below{group}" for reader in range(counts[layer + 1])]
    else:
        readers = [f"head.parts.{group}.weight"]
    readers += [f"gru.{layer}.parts.{later}.weight_ih.beside{group}" for later in range(group + 1, counts[layer])]
    slots = (
        *(Slot(key, 0, "producer", GATES) for key in incoming),
        Slot(f"{part}.weight_hh", 0, "producer", GATES),
        Slot(f"{part}.weight_hh", 1, "producer"),
        Slot(f"{part}.bias_ih", 0, "producer", GATES),
        Slot(f"{part}.bias_hh", 0, "producer", GATES),
        *(Slot(f"{part}.weight_ih.beside{before}", 0, "producer", GATES) for before in range(group)),
        *(Slot(key, 1, "consumer") for key in readers),
    )
    return Group(width, slots, Tap(part, "output", 2), incoming)
