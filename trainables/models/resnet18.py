"""ResNet18 on log-mel spectrograms, its blocks cut into parallel groups of inner channels.

The network is He et al., "Deep residual learning for image recognition" (arXiv 1512.03385), with one input channel
and two classes: 11,171,266 parameters at width 64. Three kinds of sites:

- the inner channels of each of the eight basic blocks (out of ``conv1``, through ``bn1``, into ``conv2``): nothing else
  sees them, so any block may change alone, and without inner channels it is its shortcut;
- *streams*: the residual stream of each layer, written by both blocks and the shortcut and read by all that follows, so
  a channel goes from all of them at once (coupled channels: Fang et al., arXiv 2301.12900). Where all blocks are gone
  only shortcuts are left, as large as their streams. The stem writes the stream of layer1. Streams cannot grow;
- *branches* (arXiv 2603.24343): a block beside layer2 or layer3 that reads the same input and whose output channels are
  concatenated to the layer's.

Whatever reads concatenated channels keeps one kernel per input group and adds the results, which equals one convolution
over the concatenation. An old kernel therefore never sees a new activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import DropinError
from trainables.models.bounds import MOST_NEURONS, is_count
from trainables.models.chain import Chain, Link
from trainables.models.options import complete
from trainables.models.resnet18_parts import Layer
from trainables.models.site import Group, Role, Site, Slot, Tap

FRONT_END = "log_mel"
RECIPE: Mapping[str, Any] = {
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "batch_size": 32,
    "clip": 0.0,
    "loss": "cross_entropy",
}
SEARCH_OPTIONS: Mapping[str, Any] = {"width": 16}
"""Which a CPU can train: the paper's 64 takes about 16 times as many multiplications."""
HEAD = ("fc.",)
"""How the names of the classifier's parameters begin."""

LAYERS = (1, 2, 3, 4)
MOST_WIDTH = MOST_NEURONS // 8
"""The last layer has eight times as many channels."""
BRANCHED = (2, 3)


def resolve(options: Mapping[str, Any]) -> dict[str, Any]:
    """Checked, complete configuration: ``width``, the channels of the stem and of layer1 (the paper's: 64; at least 4).

    Raises:
        DropinError: an unknown option or a width that is not a whole number of at least 4.
    """
    config = complete("resnet18", options, {"width": 64})
    if not is_count(config["width"], MOST_WIDTH) or config["width"] < 4:
        raise DropinError(f"resnet18: width must be a whole number from 4 to {MOST_WIDTH}; got {config['width']!r:.80}")
    return config


def base_widths(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """One group per block and per stream, as wide as its layer; no branches."""
    blocks = {f"layer{layer}.{block}": (_channels(config, layer),) for layer in LAYERS for block in (0, 1)}
    streams = {f"layer{layer}.stream": (_channels(config, layer),) for layer in LAYERS}
    return {**blocks, **{f"layer{layer}.branch": () for layer in BRANCHED}, **streams}


def sites(config: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> tuple[Site, ...]:
    """The eight blocks, the two branches and the four streams, in order of depth.

    Raises:
        DropinError: a stream in more than one group.
    """
    found = []
    for layer in LAYERS:
        stride = 1 if layer == 1 else 2
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            pieces = 1 + len(widths.get(f"layer{layer - 1}.branch", ())) if block == 0 else 1
            groups = tuple(_inner_group(name, g, width, pieces) for g, width in enumerate(widths[name]))
            unit, kernel = f"layer{layer}.blocks.{block}", (3, stride if block == 0 else 1, 1)
            shared = tuple(slot.key for slot in _norm(f"{unit}.bn2")) if groups else ()
            found.append(
                Site(
                    name,
                    "inner",
                    2 * layer + block,
                    groups,
                    unit=f"{unit}.parts",
                    kernel=kernel,
                    removable=True,
                    shared=shared,
                )
            )
            if block == 0 and layer in BRANCHED:
                name = f"layer{layer}.branch"
                groups = tuple(_branch_group(layer, g, width, widths) for g, width in enumerate(widths[name]))
                limit = _channels(config, layer)
                found.append(Site(name, "branch", 2 * layer, groups, joins=False, limit=limit, removable=True))
        found.append(_stream(layer, widths))
    return tuple(found)


def build(config: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> ResNet18:
    """The network with these widths, freshly initialised.

    Channels come last in memory: on CPUs a step of width 16 takes a fifth less time so, at 64 the same; tensor cores
    of GPUs want it.
    """
    return ResNet18(widths).to(memory_format=torch.channels_last)


class ResNet18(Chain):
    """Log-mel ``[batch, 1, mel, frame]`` to logits ``[batch, 2]``. Links: the stem, every block, the classifier."""

    def __init__(self, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        width = sum(widths["layer1.stream"])
        self.conv1 = nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs: tuple[int, ...] = (width,)
        for layer in LAYERS:
            channels = sum(widths[f"layer{layer}.stream"])
            branches = widths.get(f"layer{layer}.branch", ())
            groups = (widths[f"layer{layer}.0"], widths[f"layer{layer}.1"], branches)
            setattr(self, f"layer{layer}", Layer(inputs, channels, 1 if layer == 1 else 2, groups))
            inputs = (channels, *branches)
        self.fc = nn.Linear(channels, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def links(self) -> list[Link]:
        """Stem, the first and second blocks of the four layers, classifier."""
        links = [Link(("conv1.", "bn1."), self._stem)]
        for number in LAYERS:
            layer: Layer = getattr(self, f"layer{number}")
            links.append(Link((f"layer{number}.blocks.0.", f"layer{number}.branches."), layer.begin))
            links.append(Link((f"layer{number}.blocks.1.",), layer.end))
        return [*links, Link(("fc.",), lambda streams: [self.fc(streams[0].mean(dim=(2, 3)))])]

    def _stem(self, inputs: list[Tensor]) -> list[Tensor]:
        # ReLU and maximum commute: behind the pool it has a quarter of the work.
        return [torch.relu(self.pool(self.bn1(self.conv1(inputs[0]))))]


def _channels(config: Mapping[str, Any], layer: int) -> int:
    channels: int = config["width"] * 2 ** (layer - 1)
    return channels


def _norm(prefix: str) -> tuple[Slot, ...]:
    names = ("weight", "bias", "running_mean", "running_var")
    return (
        *(Slot(f"{prefix}.{name}", 0, "norm") for name in names),
        Slot(f"{prefix}.num_batches_tracked", None, "extra"),
    )


def _rows(prefix: str, pieces: int, role: Role = "producer") -> tuple[Slot, ...]:
    return tuple(Slot(f"{prefix}.{piece}.weight", 0, role) for piece in range(pieces))


def _inner_group(site: str, group: int, width: int, pieces: int) -> Group:
    layer, block = site.split(".")
    part = f"{layer}.blocks.{block}.parts.{group}"
    slots = (*_rows(f"{part}.conv1", pieces), *_norm(f"{part}.bn1"), Slot(f"{part}.conv2.weight", 1, "consumer"))
    incoming = tuple(f"{part}.conv1.{piece}.weight" for piece in range(pieces))
    return Group(width, slots, Tap(f"{part}.conv2", "input", 1), incoming)


def _branch_group(layer: int, group: int, width: int, widths: Mapping[str, tuple[int, ...]]) -> Group:
    """Channel i of a branch is its inner channel i and its output channel i: they come and go together."""
    block = f"layer{layer}.branches.{group}"
    pieces = 1 + len(widths.get(f"layer{layer - 1}.branch", ()))
    above = f"layer{layer + 1}"
    readers = [f"{above}.blocks.0.parts.{part}.conv1" for part in range(len(widths[f"{above}.0"]))]
    readers.append(f"{above}.blocks.0.downsample")
    for branch in range(len(widths.get(f"{above}.branch", ()))):
        readers += [f"{above}.branches.{branch}.parts.0.conv1", f"{above}.branches.{branch}.downsample"]
    slots = (
        *_rows(f"{block}.parts.0.conv1", pieces),
        *_norm(f"{block}.parts.0.bn1"),
        Slot(f"{block}.parts.0.conv2.weight", 0, "producer"),
        Slot(f"{block}.parts.0.conv2.weight", 1, "producer"),
        *_norm(f"{block}.bn2"),
        *_rows(f"{block}.downsample", pieces),
        *_norm(f"{block}.downsample_bn"),
        *(Slot(f"{reader}.{1 + group}.weight", 1, "consumer") for reader in readers),
    )
    return Group(width, slots, Tap(block, "output", 1))


def _stream(layer: int, widths: Mapping[str, tuple[int, ...]]) -> Site:
    """Channel i of all that writes the stream of a layer, and of all that reads it."""
    name, groups = f"layer{layer}.stream", widths[f"layer{layer}.stream"]
    if len(groups) > 1:
        raise DropinError(f"{name} must be one group; got {groups!r:.80}: streams cannot grow")
    blocks = [f"layer{layer}.blocks.{block}" for block in (0, 1)]
    pieces = 1 + len(widths.get(f"layer{layer - 1}.branch", ()))
    slots = [Slot("conv1.weight", 0, "producer"), *_norm("bn1")] if layer == 1 else []
    if layer > 1:
        slots += [*_rows(f"{blocks[0]}.downsample", pieces), *_norm(f"{blocks[0]}.downsample_bn")]
    for block, unit in enumerate(blocks):
        parts = range(len(widths[f"layer{layer}.{block}"]))
        slots += [Slot(f"{unit}.parts.{part}.conv2.weight", 0, "producer") for part in parts]
        slots += _norm(f"{unit}.bn2") if parts else ()
    slots += [Slot(f"{reader}.weight", 1, "consumer") for reader in _readers(layer, widths)]
    tap = Tap(blocks[1], "output", 1)
    # A norm's batch counter belongs to its block, not to the stream.
    group = tuple(Group(width, tuple(slot for slot in slots if slot.axis is not None), tap) for width in groups)
    return Site(name, "stream", 2 * layer + 1, group, limit=sum(groups))


def _readers(layer: int, widths: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The convolutions that read a layer's stream, or the classifier."""
    inside = [f"layer{layer}.1"] if layer > 1 else ["layer1.0", "layer1.1"]
    above = f"layer{layer + 1}"
    readers = []
    for site in [*inside, f"{above}.0"]:
        name, block = site.split(".")
        readers += [f"{name}.blocks.{block}.parts.{part}.conv1.0" for part in range(len(widths.get(site, ())))]
    if layer == LAYERS[-1]:
        return [*readers, "fc"]
    readers.append(f"{above}.blocks.0.downsample.0")
    for branch in range(len(widths.get(f"{above}.branch", ()))):
        readers += [f"{above}.branches.{branch}.{what}.0" for what in ("parts.0.conv1", "downsample")]
    return readers
