"""wav2vec 2.0: sizes, sites, exact and frozen growth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from small_wav2vec2 import VARIANTS, loud, tiny, waveforms
from trainables.models import wav2vec2
from trainables.models.architecture import Architecture
from trainables.models.wav2vec2_checkpoint import BASE
from trainables.models.wav2vec2_parts import EncoderLayer
from trainables.surgery.grow import grow, new_keys
from trainables.surgery.merge import merge
from trainables.surgery.prune import prune

SITES = ("encoder.1.heads", "encoder.1.ff", "encoder.1.branch")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def trained(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def test_size_of_the_pretrained_base_and_its_dropin() -> None:
    base = Architecture.create("wav2vec2", {"checkpoint": "made here", "transformers": BASE})
    grown = grow(base, {"encoder.5.branch": 1})
    hidden, inner = 768, 3072
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    fuse = 2 * hidden * hidden + hidden
    assert base.size() == 94_569_090
    assert grown.size() == 94_569_090 + layer + fuse == 102_837_378
    with torch.device("meta"):
        model = grown.build()
    fresh = {*new_keys(base, grown), "projector.weight", "projector.bias", "classifier.weight", "classifier.bias"}
    head = hidden * 256 + 256 + 256 * 2 + 2
    assert sum(p.numel() for name, p in model.named_parameters() if name in fresh) == layer + fuse + head == 8_465_666


def test_size_of_the_small_random_network() -> None:
    hidden, inner, channels = 256, 512, 512
    convolutions = channels * 10 + 2 * channels + channels * channels * (4 * 3 + 2 * 2)
    projection = 2 * channels + channels * hidden + hidden
    position = hidden * (hidden // 16) * 128 + 128 + hidden  # weight norm keeps one length per tap
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    head = hidden * 256 + 256 + 2 * 256 + 2
    masked, norm = hidden, 2 * hidden
    expected = convolutions + projection + position + norm + 12 * layer + masked + head
    assert Architecture.create("wav2vec2", {}).size() == expected == 11_249_794


@pytest.mark.parametrize("variant", VARIANTS)
def test_slots_name_each_tensor_of_a_group_and_the_size_of_its_axis(variant: str) -> None:
    base = tiny(**VARIANTS[variant])
    grown = grow(grow(base, dict.fromkeys(SITES, 1)), {"encoder.1.heads": 2, "encoder.1.ff": 5})
    for arch in (base, grown):
        state = arch.build().state_dict()
        named = set()
        for site in arch.sites().values():
            for group in site.groups:
                for slot in group.slots:
                    size = None if slot.axis is None else state[slot.key].shape[slot.axis]
                    assert size is None or size == slot.blocks * group.width * slot.each, slot
                named |= set(group.keys())
                assert set(group.incoming) <= set(group.keys("producer"))
        assert {key for key in state if ".parts." in key or ".branch." in key} == named
        modules = dict(arch.build().named_modules())
        assert {group.tap.module for site in arch.sites().values() for group in site.groups} <= set(modules)
        assert {site.unit for site in arch.sites().values() if site.kind != "branch"} <= set(modules)


def test_sites_stand_in_order_of_depth() -> None:
    found = [(name, site.depth) for name, site in tiny().sites().items()][:6]
    assert found == [
        ("encoder.0.heads", 0),
        ("encoder.0.branch", 0),
        ("encoder.0.ff", 1),
        ("encoder.1.heads", 2),
        ("encoder.1.branch", 2),
        ("encoder.1.ff", 3),
    ]


def test_growth_only_adds_tensors() -> None:
    base = tiny()
    old, new = base.build().state_dict(), grow(base, dict.fromkeys(SITES, 1)).build().state_dict()
    assert {key: new[key].shape for key in old} == {key: tensor.shape for key, tensor in old.items()}
    assert len(new) > len(old)


def test_a_second_branch_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        grow(grow(tiny(), {"encoder.1.branch": 1}), {"encoder.1.branch": 1})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("site", SITES)
def test_silent_growth_leaves_the_function(site: str, variant: str) -> None:
    base = tiny(**VARIANTS[variant])
    grown = grow(base, {site: 1})
    old, new = loud(base.build()), loud(grown.build())
    new.load_state_dict({**new.state_dict(), **old.state_dict()})
    x = waveforms()
    with torch.no_grad():
        assert (new(x) - old(x)).abs().max() > 1e-3
        group = grown.sites()[site].groups[-1]
        for slot in group.slots:
            tensor = new.state_dict()[slot.key]
            if slot.role == "consumer":
                tensor.zero_()
            elif slot.role == "identity":
                nn.init.eye_(tensor)
        torch.testing.assert_close(new(x), old(x), atol=1e-5, rtol=0)


def test_a_branch_is_a_parallel_layer_whose_output_is_concatenated() -> None:
    model = loud(grow(tiny(), {"encoder.1.branch": 1}).build())
    layer = model.get_submodule("wav2vec2.encoder.layers.1")
    assert isinstance(layer, EncoderLayer)
    assert layer.branch is not None
    x = torch.randn(2, 5, 32)
    both, branch = layer(x), layer.branch
    layer.branch = None
    weight = torch.cat([branch.fuse_old.weight, branch.fuse_new.weight], dim=1)
    expected = torch.cat([layer(x), branch.layer(x)], dim=2) @ weight.T + branch.fuse_new.bias
    torch.testing.assert_close(both, expected, atol=1e-5, rtol=0)


def test_joined_groups_compute_the_same() -> None:
    grown = grow(tiny(), {"encoder.1.heads": 3, "encoder.1.ff": 5})
    merged, transfer = merge(grown)
    parts, whole = loud(grown.build()), merged.build().eval()
    whole.load_state_dict(transfer.apply(parts.state_dict()))
    assert merged.widths["encoder.1.heads"] == (7,)
    with torch.no_grad():
        torch.testing.assert_close(whole(waveforms()), parts(waveforms()), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("site", "kept"), [("encoder.1.heads", [4, 5]), ("encoder.1.ff", [64, 65])])
def test_the_first_group_can_go_and_leave_its_bias(site: str, kept: list[int]) -> None:
    grown = grow(tiny(), {site: 2})
    smaller, transfer = prune(grown, {site: kept})
    parts = loud(grown.build())
    for key in grown.sites()[site].groups[0].keys("consumer"):
        parts.state_dict()[key].zero_()
    rest = smaller.build().eval()
    rest.load_state_dict(transfer.apply(parts.state_dict()))
    with torch.no_grad():
        torch.testing.assert_close(rest(waveforms()), parts(waveforms()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("site", SITES)
def test_frozen_growth_walks_only_what_is_new_and_above(site: str) -> None:
    base = tiny()
    grown = grow(base, {site: 1})
    model = grown.build()
    fresh = set(new_keys(base, grown))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in fresh)
    tracked: dict[str, bool] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: tracked.update({name: out[0].requires_grad}))
    model(waveforms()).sum().backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == fresh
    encoder = "wav2vec2.encoder.layers"
    assert tracked[f"{encoder}.2.attention"]
    below = {f"{encoder}.1.attention.parts.0", f"{encoder}.0.final_layer_norm", "wav2vec2.feature_extractor"}
    below |= {
        "encoder.1.heads": set[str](),
        "encoder.1.ff": {f"{encoder}.1.attention", f"{encoder}.1.feed_forward.parts.0"},
        "encoder.1.branch": {f"{encoder}.1.attention", f"{encoder}.1.feed_forward"},
    }[site]
    assert not any(tracked[name] for name in below)


def test_convolutions_never_train() -> None:
    model = tiny().build().train()
    expected = {name for name, _ in model.named_parameters() if not name.startswith(wav2vec2.FROZEN)}
    assert trained(model) == expected
    seen: list[Tensor] = []
    model.get_submodule("wav2vec2.feature_extractor").register_forward_hook(lambda _m, _i, out: seen.append(out))
    model(waveforms()).sum().backward()
    assert not seen[0].requires_grad
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == expected


def test_nothing_is_masked_or_skipped_in_training() -> None:
    model = loud(tiny().build())
    with torch.no_grad():
        still = model(waveforms())
        torch.testing.assert_close(model.train()(waveforms()), still, atol=0, rtol=0)
