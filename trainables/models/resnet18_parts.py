"""What ResNet18 is made of: convolutions over channels that come in groups, blocks, layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PiecewiseConv(nn.ModuleList):
    """A convolution over concatenated channels, one kernel per input group; no bias.

    A kernel of one pixel with a stride reads every so many pixels only. They are taken out first: on some processors
    with AVX-512 oneDNN writes beyond its memory in the backward pass of such a convolution of few channels (seen with
    PyTorch 2.14, two threads, an odd batch).
    """

    def __init__(self, inputs: Sequence[int], channels: int, kernel: int, stride: int) -> None:
        every, stride = (stride, 1) if kernel == 1 else (1, stride)
        super().__init__(
            nn.Conv2d(width, channels, kernel, stride=stride, padding=kernel // 2, bias=False) for width in inputs
        )
        self.every = every

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Sum over the input groups ``[batch, width, mel, frame]``."""
        every = self.every
        return _total([conv(x[:, :, ::every, ::every]) for conv, x in zip(self, inputs, strict=True)])


class Part(nn.Module):
    """A group of inner channels of a block: conv, norm, ReLU, conv back to the residual stream."""

    def __init__(self, inputs: Sequence[int], width: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = PiecewiseConv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, channels, 3, padding=1, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """What this group adds to the block's sum."""
        out: Tensor = self.conv2(torch.relu(self.bn1(self.conv1(inputs))))
        return out


class Parts(nn.ModuleList):
    """All groups of a block, added up: one convolution over their concatenated channels."""

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Sum over the groups."""
        return _total([part(inputs) for part in self])


class Block(nn.Module):
    """A basic block whose inner channels come in groups, or not at all, and whose input may come in groups."""

    def __init__(self, inputs: Sequence[int], groups: Sequence[int], channels: int, stride: int) -> None:
        super().__init__()
        self.parts = Parts(Part(inputs, width, channels, stride) for width in groups)
        self.bn2 = nn.BatchNorm2d(channels) if groups else None
        self.downsample: PiecewiseConv | None = None
        if stride != 1 or tuple(inputs) != (channels,):
            self.downsample = PiecewiseConv(inputs, channels, 1, stride)
            self.downsample_bn = nn.BatchNorm2d(channels)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """``[batch, channels, mel, frame]``, halved by the stride."""
        shortcut = inputs[0] if self.downsample is None else self.downsample_bn(self.downsample(inputs))
        return torch.relu(shortcut if self.bn2 is None else self.bn2(self.parts(inputs)) + shortcut)


class Layer(nn.Module):
    """Two blocks, and beside the first the branches if there are any."""

    def __init__(self, inputs: Sequence[int], channels: int, stride: int, blocks: Sequence[Sequence[int]]) -> None:
        super().__init__()
        first, second = blocks[0], blocks[1]
        self.blocks = nn.ModuleList([Block(inputs, first, channels, stride), Block((channels,), second, channels, 1)])
        self.branches = nn.ModuleList(Block(inputs, (width,), width, stride) for width in blocks[2])

    def begin(self, inputs: list[Tensor]) -> list[Tensor]:
        """The first block's output, then each branch's."""
        return [self.blocks[0](inputs), *(branch(inputs) for branch in self.branches)]

    def end(self, streams: list[Tensor]) -> list[Tensor]:
        """The layer's output, then each branch's."""
        return [self.blocks[1](streams[:1]), *streams[1:]]


def _total(terms: Sequence[Tensor]) -> Tensor:
    """The sum of at least one tensor, without the zero that ``sum`` starts from."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
