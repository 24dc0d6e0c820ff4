"""What every growth rule has to keep, on every model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from detectors import architecture, features, growable, trained_like
from trainables import growth, models
from trainables.growth.signal import correlations
from trainables.models.architecture import Architecture
from trainables.surgery.grow import grow


def grown(
    model: str, rule: str, seed: int = 0
) -> tuple[Architecture, dict[str, Tensor], Architecture, dict[str, Tensor]]:
    """Base, its state, the architecture grown at all sites that the rule takes, and the state the rule gives."""
    arch = architecture(model)
    module = trained_like(arch)
    before = arch.sites()
    neurons = {name: n for name, n in growable(arch) if growth.load(rule).refuses(before[name]) is None}
    wider = grow(arch, neurons)
    labels = torch.tensor([0, 1, 0, 1])
    signals = {}
    if growth.load(rule).NEEDS_SIGNAL:
        batches = [(features(model, seed=s), labels) for s in (1, 2)]
        signals = correlations(module, [before[n] for n in neurons], batches, torch.nn.functional.cross_entropy)
    torch.manual_seed(seed)
    fresh = wider.build().state_dict()
    order = tuple(name for name in wider.sites() if name in neurons)
    generator = torch.Generator().manual_seed(seed)
    old = module.state_dict()
    state = growth.load(rule).fill(
        growth.Growth(before, wider.sites(), order, old, fresh, generator, signals.__getitem__)
    )
    return arch, old, wider, state


BOTH = [(model, rule) for model in models.NAMES for rule in growth.NAMES]


@pytest.mark.parametrize(("model", "rule"), BOTH)
def test_old_values_stay_and_new_ones_are_there(model: str, rule: str) -> None:
    _, old, wider, state = grown(model, rule)
    assert all(torch.equal(state[key], old[key]) for key in old)
    assert list(state) == list(wider.keys())
    wider.build().load_state_dict(state)
    assert all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize(("model", "rule"), [both for both in BOTH if both[1] != "random"])
def test_the_function_stays(model: str, rule: str) -> None:
    arch, old, wider, state = grown(model, rule)
    base, module = arch.build().eval(), wider.build().eval()
    base.load_state_dict(old)
    module.load_state_dict(state)
    x = features(model, seed=3)
    torch.testing.assert_close(module(x), base(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", models.NAMES)
def test_random_growth_changes_the_function(model: str) -> None:
    arch, old, wider, state = grown(model, "random")
    base, module = arch.build().eval(), wider.build().eval()
    base.load_state_dict(old)
    module.load_state_dict(state)
    x = features(model, seed=3)
    assert (module(x) - base(x)).abs().max() > 1e-4


@pytest.mark.parametrize(("model", "rule"), BOTH)
def test_new_neurons_can_learn(model: str, rule: str) -> None:
    """After one step on what reads them, every grown site's incoming weights have a gradient."""
    _, old, wider, state = grown(model, rule)
    module = wider.build().eval()
    module.load_state_dict(state)
    new = [p for name, p in module.named_parameters() if name not in old]
    y = torch.tensor([0, 1, 0, 1])
    for _ in range(2):
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(features(model, seed=4)), y).backward()
        with torch.no_grad():
            for parameter in new:
                if parameter.grad is not None:
                    parameter.sub_(0.1 * parameter.grad)
    gradients = {name: p.grad for name, p in module.named_parameters()}
    for site in wider.sites().values():
        for group in site.groups[len(site.groups) - 1 :]:
            for key in group.incoming:
                gradient = gradients[key]
                assert gradient is not None
                assert gradient.abs().max() > 0, key


@pytest.mark.parametrize(("model", "rule"), BOTH)
def test_same_seed_same_weights(model: str, rule: str) -> None:
    first, second = grown(model, rule, seed=5)[3], grown(model, rule, seed=5)[3]
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^growth rule must be one of random, zero, split, gradmax.*; got 'magic'$"):
        growth.load("magic")
