"""How big a detector is: parameters, and multiply-accumulates for one utterance."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module) -> int:
    """Number of parameters, frozen ones included; one that several layers share counts once. Buffers do not count."""
    return sum(parameter.numel() for parameter in module.parameters())


def macs(module: nn.Module, example_input: Tensor) -> int:
    """Multiply-accumulates (MACs) that a forward pass spends on one utterance, in evaluation mode.

    Counted are matrix products, convolutions, attention and recurrent layers, at one MAC per multiplication with its
    addition, biases free, as PyTorch's flop counter does at two operations each. Element-wise work, normalisation,
    pooling and Fourier transforms are left out.

    Nothing is computed: a copy of the module runs on the meta device, where fused kernels (attention, LSTM), which the
    counter does not know on every device, fall apart into products that it does. The module itself is not touched.

    Args:
        module: a detector that takes features [batch, ...].
        example_input: features [batch, ...]; the first utterance's shape and type are used, its values never.

    Returns:
        MACs, at least 0.

    Raises:
        ValueError: no utterance in the example.
    """
    if example_input.ndim < 1 or not len(example_input):
        raise ValueError(
            f"example input must be [batch, ...] with a batch of at least 1; got {list(example_input.shape)}"
        )
    twin = deepcopy(module).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(example_input[:1].to("meta"))
    return int(counter.get_total_flops()) // 2
