"""Transfer of optimiser moments."""

from __future__ import annotations

import torch

from detectors import architecture, features
from trainables.surgery import moments
from trainables.surgery.grow import grow
from trainables.surgery.merge import merge
from trainables.surgery.prune import prune


def stepped(module: torch.nn.Module, steps: int = 2) -> torch.optim.Adam:
    """Adam after some steps."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for step in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            module(features("resnet18", seed=step)), torch.tensor([0, 1, 0, 1])
        ).backward()
        optimizer.step()
    return optimizer


def test_collect_and_restore_round_trip() -> None:
    arch = architecture("resnet18")
    module = arch.build()
    optimizer = stepped(module)
    kept = moments.collect(optimizer, module)
    assert set(kept) == {"step", "exp_avg", "exp_avg_sq"}
    twin = arch.build()
    twin.load_state_dict(module.state_dict())
    other = torch.optim.Adam(twin.parameters(), lr=1e-3)
    moments.restore(other, twin, kept)
    for one, optim in ((module, optimizer), (twin, other)):
        optim.zero_grad()
        torch.nn.functional.cross_entropy(one(features("resnet18", seed=9)), torch.tensor([0, 1, 0, 1])).backward()
        optim.step()
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in module.state_dict().items())


def test_moments_are_pruned_like_weights() -> None:
    arch = architecture("resnet18")
    module = arch.build()
    kept = moments.collect(stepped(module), module)
    _, transfer = prune(arch, {"layer1.0": [0, 3]})
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    moved = moments.carry(kept, transfer, shapes)
    key = "layer1.blocks.0.parts.0.conv1.0.weight"
    assert torch.equal(moved["exp_avg"][key], kept["exp_avg"][key][[0, 3]])
    assert moved["step"][key] == kept["step"][key] == 2


def test_new_neurons_have_no_moments_and_zero_moments_when_merged() -> None:
    arch = architecture("resnet18")
    module = arch.build()
    kept = moments.collect(stepped(module), module)
    wider = grow(arch, {"layer1.0": 2})
    grown = wider.build()
    fresh = torch.optim.Adam(grown.parameters())
    moments.restore(fresh, grown, kept)
    assert len(fresh.state) == len(list(module.parameters()))
    _, transfer = merge(wider)
    moved = moments.carry(kept, transfer, {key: value.shape for key, value in grown.state_dict().items()})
    key = "layer1.blocks.0.parts.0.conv1.0.weight"
    assert moved["exp_avg"][key].shape[0] == 6
    assert torch.equal(moved["exp_avg"][key][:4], kept["exp_avg"][key])
    assert not moved["exp_avg_sq"][key][4:].any()
