"""Parameters and multiply-accumulates against closed forms, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainables.metrics.size import macs, parameters


class Attention(nn.Module):
    """Self-attention by PyTorch's fused call, without projections."""

    def forward(self, x: Tensor) -> Tensor:
        """From [batch, heads, time, depth] to the same."""
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Tied(nn.Module):
    """Two layers that share one weight, which is used twice and counted once."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        """From [batch, 6] to [batch, 6]."""
        twice: Tensor = self.second(self.first(x))
        return twice


CASES = [
    # out channels * positions * in channels * kernel
    pytest.param(nn.Conv2d(3, 8, 3, padding=1), (3, 10, 12), 8 * 10 * 12 * 3 * 9, 8 * 3 * 9 + 8, id="conv2d"),
    pytest.param(nn.Conv2d(4, 8, 3, stride=2, bias=False), (4, 11, 9), 8 * 5 * 4 * 4 * 9, 8 * 4 * 9, id="stride"),
    pytest.param(nn.Conv1d(8, 8, 5, groups=4), (8, 20), 8 * 16 * 2 * 5, 8 * 2 * 5 + 8, id="grouped conv1d"),
    pytest.param(nn.Linear(20, 7), (20,), 140, 147, id="linear"),
    pytest.param(nn.Linear(20, 7), (9, 20), 9 * 140, 147, id="linear over time"),
    # per step and direction 3 gates of hidden * (in + hidden)
    pytest.param(nn.GRU(20, 16, batch_first=True), (9, 20), 9 * 3 * 16 * 36, 3 * 16 * 36 + 96, id="gru"),
    pytest.param(
        nn.GRU(20, 16, num_layers=2, bidirectional=True, batch_first=True),
        (9, 20),
        9 * 2 * 3 * 16 * (36 + 48),
        2 * 3 * 16 * (36 + 48) + 4 * 96,
        id="deep gru both ways",
    ),
    pytest.param(nn.LSTM(20, 16, batch_first=True), (9, 20), 9 * 4 * 16 * 36, 4 * 16 * 36 + 128, id="lstm"),
    # queries with keys and weights with values: 2 * heads * time^2 * depth
    pytest.param(Attention(), (4, 10, 16), 2 * 4 * 100 * 16, 0, id="attention"),
    # attention of 64, three projections in and one out, feed-forward 128, two norms
    pytest.param(
        nn.TransformerEncoderLayer(64, 4, 128, batch_first=True),
        (10, 64),
        4 * 10 * 64 * 64 + 2 * 100 * 64 + 2 * 10 * 64 * 128,
        4 * (64 * 64 + 64) + 2 * 64 * 128 + 128 + 64 + 4 * 64,
        id="transformer layer",
    ),
    pytest.param(nn.Sequential(nn.BatchNorm1d(5), nn.ReLU()), (5,), 0, 10, id="no products"),
    pytest.param(Tied(), (6,), 2 * 36, 36 + 12, id="tied"),
]


@pytest.mark.parametrize(("module", "shape", "expected_macs", "expected_parameters"), CASES)
def test_closed_forms(module: nn.Module, shape: tuple[int, ...], expected_macs: int, expected_parameters: int) -> None:
    assert macs(module, torch.zeros(3, *shape)) == expected_macs
    assert parameters(module) == expected_parameters


def test_frozen_parameters_count_and_buffers_do_not() -> None:
    module = nn.BatchNorm1d(5).requires_grad_(False)
    assert parameters(module) == 10


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    macs(module, torch.ones(2, 4))
    assert module.training
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_an_example_without_an_utterance_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of at least 1"):
        macs(nn.Linear(4, 4), torch.zeros(0, 4))
