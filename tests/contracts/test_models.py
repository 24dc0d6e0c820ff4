"""What every model has to keep so that surgery, growth rules and criteria can work on it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import project_file
from detectors import architecture, features, growable, trained_like
from trainables import features as features_by_name
from trainables import models
from trainables.models.architecture import Architecture
from trainables.surgery.freeze import freeze, training_mode
from trainables.surgery.grow import grow, new_keys
from trainables.surgery.merge import merge
from trainables.surgery.prune import prune
from trainables.trial.training import LOSSES

MODELS = pytest.mark.parametrize("model", models.NAMES)


def twice_grown(arch: Architecture) -> Architecture:
    """Every site grown, and grown again where it takes more."""
    wider = grow(arch, dict(growable(arch)))
    return grow(wider, {name: 2 for name, site in wider.sites().items() if site.limit is None})


@MODELS
def test_what_a_search_starts_from_is_read_without_the_file_and_fits_it(model: str) -> None:
    options = models.search_options(model)
    assert options == models.load(model).SEARCH_OPTIONS
    assert options.items() <= models.load(model).resolve(options).items()


def test_options_of_a_search_are_known_without_torch() -> None:
    code = "import sys; from trainables import models; "
    code += "print({name: dict(models.search_options(name)) for name in models.NAMES}); "
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=project_file.ROOT
    )
    assert done.returncode == 0, done.stderr
    known: dict[str, Any] = {"resnet18": {"width": 16}, "grnn": {}, "wav2vec2": {"checkpoint": "tiny"}}
    assert known.items() <= ast.literal_eval(done.stdout).items()


@MODELS
def test_recipe_and_front_end_are_known_names(model: str) -> None:
    file = models.load(model)
    assert file.FRONT_END in features_by_name.NAMES
    assert set(file.RECIPE) == {"optimizer", "lr", "weight_decay", "batch_size", "clip", "loss"}
    assert file.RECIPE["loss"] in LOSSES
    names = [name for name, _ in architecture(model).build().named_parameters()]
    assert any(name.startswith(file.HEAD) for name in names)


@MODELS
def test_slots_cover_their_axes(model: str) -> None:
    arch = architecture(model)
    for candidate in (arch, grow(arch, dict(growable(arch))), twice_grown(arch)):
        state = candidate.build().state_dict()
        for site in candidate.sites().values():
            assert [group.width for group in site.groups] == list(candidate.widths[site.name])
            for group in site.groups:
                for slot in group.slots:
                    if slot.axis is not None:
                        assert state[slot.key].shape[slot.axis] == slot.blocks * group.width * slot.each, slot
                assert set(group.incoming) <= set(group.keys("producer"))


@MODELS
def test_growth_only_adds_keys(model: str) -> None:
    arch = architecture(model)
    old = {key: value.shape for key, value in arch.build().state_dict().items()}
    new = {key: value.shape for key, value in twice_grown(arch).build().state_dict().items()}
    assert {key: new.get(key) for key in old} == old
    kept = [key for key in new if key in old]
    assert kept == list(old), "growth must not change the order of old keys"


@MODELS
def test_new_keys_are_the_slots_of_new_groups(model: str) -> None:
    arch = architecture(model)
    wider = grow(arch, dict(growable(arch)))
    owned = {key for name, _ in growable(arch) for key in wider.sites()[name].groups[-1].keys()}
    assert set(new_keys(arch, wider)) == owned


@MODELS
def test_every_tensor_belongs_to_one_link(model: str) -> None:
    module = twice_grown(architecture(model)).build()
    links = module.links()
    for key in module.state_dict():
        assert sum(key.startswith(link.owns) for link in links) == 1, key


@MODELS
def test_a_forward_pass_can_begin_at_every_boundary(model: str) -> None:
    module = trained_like(twice_grown(architecture(model)))
    x = features(model)
    whole = module(x)
    for boundary in range(len(module.links()) + 1):
        torch.testing.assert_close(module.above(module.below(x, boundary), boundary), whole, atol=1e-6, rtol=1e-6)


@MODELS
def test_frozen_links_end_where_something_trains(model: str) -> None:
    arch = architecture(model)
    first = len(arch.build().links())
    for name, count in reversed(list(growable(arch))):
        wider = grow(arch, {name: count})
        module = wider.build()
        freeze(module, set(new_keys(arch, wider)) & {key for key, _ in module.named_parameters()})
        boundary = module.frozen_links()
        assert not any(tensor.requires_grad for tensor in module.below(features(model), boundary))
        behind = module.below(features(model), boundary + 1)
        assert any(tensor.requires_grad for tensor in behind), "one more link would not be frozen"
        assert boundary <= first, "sites come in order of depth"
        first = boundary


@MODELS
def test_size_counts_the_live_module(model: str) -> None:
    for arch in (architecture(model), twice_grown(architecture(model))):
        assert arch.size() == sum(parameter.numel() for parameter in arch.build().parameters())


@MODELS
def test_architecture_round_trip(model: str) -> None:
    arch = twice_grown(architecture(model))
    assert Architecture.from_json(arch.to_json()) == arch


@MODELS
def test_grow_then_remove_is_bit_equal(model: str) -> None:
    arch = architecture(model)
    old = trained_like(arch).state_dict()
    wider = twice_grown(arch)
    state = {**wider.build().state_dict(), **old}
    back, transfer = prune(wider, {name: range(sum(groups)) for name, groups in arch.widths.items()})
    returned = transfer.apply(state)
    assert back == arch
    assert list(returned) == list(old)
    assert all(torch.equal(returned[key], old[key]) for key in old)


@MODELS
def test_merging_keeps_the_function(model: str) -> None:
    wider = twice_grown(architecture(model))
    module = trained_like(wider)
    merged, transfer = merge(wider)
    plain = merged.build().eval()
    plain.load_state_dict(transfer.apply(module.state_dict()))
    assert all(len(merged.widths[name]) == 1 for name, site in wider.sites().items() if site.joins)
    x = features(model)
    torch.testing.assert_close(plain(x), module(x), atol=1e-5, rtol=1e-5)


@MODELS
def test_cutting_equals_silencing(model: str) -> None:
    """Removing neurons gives what their zeroed outgoing weights give; the dense route needs no surgery."""
    wider = merge(twice_grown(architecture(model)))[0]
    module = trained_like(wider)
    state = module.state_dict()
    kept = {}
    for name, site in wider.sites().items():
        if site.width < 2 or site.kind == "branch":
            continue
        kept[name] = [i for i in range(site.width) if i % 3 != 1]
        start = 0
        for group in site.groups:
            gone = [i - start for i in range(start, start + group.width) if i % 3 == 1]
            start += group.width
            for slot in group.slots:
                if slot.role == "consumer" and slot.axis is not None:
                    lines = state[slot.key].movedim(slot.axis, 0)
                    lines.view(slot.blocks, group.width, slot.each, *lines.shape[1:])[:, gone] = 0
    # A recurrent unit also reads its own group: silence the columns of weight_hh.
    for site in wider.sites().values():
        if site.kind == "recurrent":
            start = 0
            for group in site.groups:
                gone = [i - start for i in range(start, start + group.width) if i % 3 == 1]
                start += group.width
                for slot in group.slots:
                    if slot.role == "producer" and slot.axis == 1:
                        state[slot.key][:, gone] = 0
    module.load_state_dict(state)
    smaller, transfer = prune(wider, kept)
    cut = smaller.build().eval()
    cut.load_state_dict(transfer.apply(state))
    x = features(model)
    torch.testing.assert_close(cut(x), module(x), atol=1e-5, rtol=1e-5)
    assert smaller.size() < wider.size()


@MODELS
def test_removing_a_site_equals_silencing_it(model: str) -> None:
    """Where nothing is read of the neurons, and what stands beside them adds nothing, they can go."""
    for wider in (architecture(model), twice_grown(architecture(model))):
        for name, site in wider.sites().items():
            if not site.removable or site.kind == "branch":
                continue
            module = trained_like(wider)
            state = module.state_dict()
            for key in (*(key for group in site.groups for key in group.keys("consumer")), *site.shared):
                if key.endswith((".weight", ".bias")):
                    state[key].zero_()
            module.load_state_dict(state)
            smaller, transfer = prune(wider, {name: []})
            assert smaller.widths[name] == ()
            removed = smaller.build().eval()
            removed.load_state_dict(transfer.apply(state))
            torch.testing.assert_close(removed(features(model)), module(features(model)), atol=1e-5, rtol=1e-5)
            with pytest.raises(ValueError, match=f"{name} was removed and cannot grow again"):
                grow(smaller, {name: 1})


@MODELS
def test_frozen_weights_get_no_gradient_and_the_dense_route_agrees(model: str) -> None:
    """The split detector's gradients are those of the merged one where new neurons lie, and exist nowhere else."""
    arch = architecture(model)
    wider = grow(arch, dict(growable(arch)))
    module = trained_like(wider)
    new = set(new_keys(arch, wider)) & {name for name, _ in module.named_parameters()}
    freeze(module, new)
    module.eval()
    x, y = features(model), torch.tensor([0, 1, 0, 1])
    torch.nn.functional.cross_entropy(module(x), y).backward()
    split = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert all((split[name] is not None) == (name in new) for name in split)

    merged, transfer = merge(wider)
    dense = merged.build().eval()
    dense.load_state_dict(transfer.apply(module.state_dict()))
    for parameter in dense.parameters():
        parameter.requires_grad_(True)
    torch.nn.functional.cross_entropy(dense(x), y).backward()
    full = {name: parameter.grad for name, parameter in dense.named_parameters()}
    filled = {
        name: split[name] if split[name] is not None else torch.full_like(parameter, torch.nan)
        for name, parameter in module.named_parameters()
    }
    for name, expected in transfer.apply({k: v for k, v in filled.items() if v is not None}).items():
        trained = ~torch.isnan(expected)
        found = full[name]
        if found is not None and trained.any():
            torch.testing.assert_close(found[trained], expected[trained], atol=1e-5, rtol=1e-4)


@MODELS
def test_nothing_below_the_lowest_grown_site_is_walked_backwards(model: str) -> None:
    """Units below see and give activations that autograd does not follow; the grown unit's output it does."""
    arch = architecture(model)
    units = {site.depth: site for site in arch.sites().values() if site.unit}
    grown = units[sorted(units)[-2:][0]]
    wider = grow(arch, {grown.name: 2})
    module = trained_like(wider)
    freeze(module, set(new_keys(arch, wider)) & {name for name, _ in module.named_parameters()})
    followed: dict[str, bool] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: object, output: object) -> None:
            tensors = output if isinstance(output, (list, tuple)) else [output]
            followed[name] = any(isinstance(tensor, torch.Tensor) and tensor.requires_grad for tensor in tensors)

        return hook

    for site in units.values():
        module.get_submodule(site.unit).register_forward_hook(watch(site.name))
    module(features(model))
    assert followed == {site.name: site.depth >= grown.depth for site in units.values()}


@MODELS
def test_frozen_parts_behave_as_in_evaluation(model: str) -> None:
    arch = architecture(model)
    wider = grow(arch, dict(growable(arch)))
    module = trained_like(wider)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    new = set(new_keys(arch, wider))
    freeze(module, new & {name for name, _ in module.named_parameters()})
    training_mode(module)
    module(features(model))
    after = module.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before if key not in new)
    module.train()
    module(features(model))


@MODELS
def test_wrong_growth_and_cuts_are_refused(model: str) -> None:
    arch = architecture(model)
    name = next(iter(arch.widths))
    with pytest.raises(ValueError, match="has no site 'nowhere'"):
        grow(arch, {"nowhere": 1})
    with pytest.raises(ValueError, match="at least 1 neuron"):
        grow(arch, {name: 0})
    for site in arch.sites().values():
        if not site.removable:
            with pytest.raises(ValueError, match=f"{site.name} must keep at least 1 neuron"):
                prune(arch, {site.name: []})
    with pytest.raises(ValueError, match="different indices"):
        prune(arch, {name: [0, 0]})
    with pytest.raises(ValueError, match="no site"):
        prune(arch, {"nowhere": [0]})
