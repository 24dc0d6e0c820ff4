"""Pruning against torch-pruning on the same ResNet18."""

from __future__ import annotations

import pytest
import torch

from detectors import architecture, features, trained_like
from trainables.surgery.prune import prune

tp = pytest.importorskip("torch_pruning")


@pytest.mark.parametrize(
    ("site", "pruned"), [("layer1.0", [1]), ("layer2.0", [0, 5, 6]), ("layer4.1", list(range(20)))]
)
def test_prune_equals_torch_pruning(site: str, pruned: list[int]) -> None:
    arch = architecture("resnet18")
    module = trained_like(arch)
    kept = [i for i in range(arch.widths[site][0]) if i not in pruned]
    smaller, transfer = prune(arch, {site: kept})
    ours = smaller.build().eval()
    ours.load_state_dict(transfer.apply(module.state_dict()))

    layer, block = site.split(".")
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    graph = tp.DependencyGraph().build_dependency(module, example_inputs=features("resnet18", 1))
    conv = module.get_submodule(f"{layer}.blocks.{block}.parts.0.conv1.0")
    group = graph.get_pruning_group(conv, tp.prune_conv_out_channels, idxs=pruned)
    assert graph.check_pruning_group(group)
    group.prune()
    theirs = module.eval().state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.state_dict().items())
    assert smaller.size() == sum(parameter.numel() for parameter in module.parameters())
    x = features("resnet18")
    assert torch.equal(ours(x), module(x))
