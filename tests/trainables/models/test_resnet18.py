"""ResNet18: the paper's sizes in closed form, and the network against a plain one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detectors import features, trained_like
from trainables.models.architecture import Architecture
from trainables.surgery.grow import grow, new_keys
from trainables.surgery.prune import prune


def test_paper_sizes() -> None:
    base = Architecture.create("resnet18", {"width": 64})
    assert base.size() == 11_171_266
    branched = grow(base, {"layer2.branch": 128, "layer3.branch": 256})
    assert branched.size() == 14_286_530
    blocks = [p.numel() for name, p in branched.build().named_parameters() if ".branches." in name]
    assert sum(blocks) == 1_476_864


@pytest.mark.parametrize("width", [4, 7, 16])
def test_size_closed_form(width: int) -> None:
    """9 a pair of channels, two numbers a norm channel, projections where the width changes, and the classifier."""
    total = 49 * width + 2 * width
    below = width
    for layer in (1, 2, 3, 4):
        channels = width * 2 ** (layer - 1)
        total += 9 * (below * channels + 3 * channels * channels) + 8 * channels
        if layer > 1:
            total += below * channels + 2 * channels
        below = channels
    assert Architecture.create("resnet18", {"width": width}).size() == total + 2 * below + 2


def test_growing_a_block_costs_what_it_must() -> None:
    base = Architecture.create("resnet18", {"width": 8})
    wider = grow(base, {"layer3.0": 5})
    assert wider.size() - base.size() == 5 * (9 * 16 + 9 * 32 + 2)
    assert len(new_keys(base, wider)) == 2 + 5


def test_what_is_left_without_blocks_is_as_large_as_its_streams() -> None:
    base = Architecture.create("resnet18", {"width": 8})
    bare = {f"layer{layer}.{block}": () for layer in (1, 2, 3, 4) for block in (0, 1)}
    one, two, three, four = 3, 5, 4, 7
    streams = {"layer1.stream": (one,), "layer2.stream": (two,), "layer3.stream": (three,), "layer4.stream": (four,)}
    shortcuts = one * two + two * three + three * four + 2 * (two + three + four)
    assert base.replace_widths({**bare, **streams}).size() == (49 + 2) * one + shortcuts + 2 * four + 2


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_cutting_a_stream_equals_silencing_its_channels(layer: int) -> None:
    """With blocks in two groups, branches that read the stream, a block removed, and other sites cut beside it."""
    base = Architecture.create("resnet18", {"width": 4})
    arch = grow(base, {"layer1.0": 2, "layer2.branch": 3, "layer3.1": 2, "layer3.branch": 5})
    arch = arch.replace_widths({"layer4.0": ()})
    module, site = trained_like(arch), f"layer{layer}.stream"
    state = module.state_dict()
    width = arch.total_widths()[site]
    for slot in arch.sites()[site].groups[0].slots:
        if slot.role == "producer" or (slot.role == "norm" and slot.key.endswith((".weight", ".bias"))):
            state[slot.key].movedim(slot.axis or 0, 0)[1::2] = 0
    module.load_state_dict(state)
    smaller, transfer = prune(arch, {site: range(0, width, 2), "layer1.1": range(4)})
    cut = smaller.build().eval()
    cut.load_state_dict(transfer.apply(state))
    assert smaller.total_widths()[site] == width // 2
    x = features("resnet18")
    torch.testing.assert_close(cut(x), module(x), atol=1e-5, rtol=1e-5)


def test_streams_cannot_grow() -> None:
    base = Architecture.create("resnet18", {"width": 4})
    with pytest.raises(ValueError, match=r"layer2\.stream takes at most 8 neurons; 8 and 1 more"):
        grow(base, {"layer2.stream": 1})
    with pytest.raises(ValueError, match=r"layer2\.stream must be one group"):
        base.replace_widths({"layer2.stream": (4, 4)}).sites()
    with pytest.raises(ValueError, match=r"layer2\.stream must keep at least 1 neuron"):
        prune(base, {"layer2.stream": []})


def test_new_connections_of_a_branch_include_its_readers() -> None:
    base = Architecture.create("resnet18", {"width": 64})
    wider = grow(base, {"layer2.branch": 128, "layer3.branch": 256})
    fresh = set(new_keys(base, wider))
    trained = sum(p.numel() for name, p in wider.build().named_parameters() if name in fresh)
    assert trained == 14_286_530 - 11_171_266


class PlainBlock(nn.Module):
    """A textbook basic block."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1:
            self.skip = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output."""
        return torch.relu(self.body(x) + self.skip(x))


def test_base_equals_a_plain_resnet18() -> None:
    width = 6
    torch.manual_seed(0)
    module = Architecture.create("resnet18", {"width": width}).build().eval()
    blocks: list[nn.Module] = []
    below = width
    for layer in (1, 2, 3, 4):
        channels = width * 2 ** (layer - 1)
        blocks += [PlainBlock(below, channels, 1 if layer == 1 else 2), PlainBlock(channels, channels, 1)]
        below = channels
    plain = nn.Sequential(
        nn.Conv2d(1, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(below, 2),
    ).eval()
    ours = [value for key, value in module.state_dict().items() if "num_batches" not in key]
    names = [key for key in plain.state_dict() if "num_batches" not in key]
    # Ours lists conv1, bn1, conv2, bn2, projection in the same order as the textbook block.
    assert [plain.state_dict()[name].shape for name in names] == [value.shape for value in ours]
    plain.load_state_dict(dict(zip(names, ours, strict=True)), strict=False)
    x = torch.randn(3, 1, 64, 126)
    torch.testing.assert_close(module(x), plain(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("width", [3, 0, -1, 16.0, "64", True, 131073])
def test_bad_width_is_refused(width: object) -> None:
    with pytest.raises(ValueError, match="width must be a whole number from 4 to 131072"):
        Architecture.create("resnet18", {"width": width})


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="resnet18 has no option depth; it takes width"):
        Architecture.create("resnet18", {"depth": 18})
