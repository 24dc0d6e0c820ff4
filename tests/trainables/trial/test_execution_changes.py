"""Weights and moments at growth, cuts and rewinding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detectors import RandomSplit, architecture
from runs import (
    GROWN,
    base_detector,
    best_eer_again,
    execution,
    plan_config,
    run_all,
    state_of,
    watch,
)
from trainables import growth, models
from trainables.trial.training import scores

MODELS = pytest.mark.parametrize("model", models.NAMES)


@pytest.mark.parametrize("space", ["dropin", "plasticity"])
@pytest.mark.parametrize("rule", growth.NAMES)
def test_growth_by_each_rule(rule: str, space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only rule ``random`` changes the detector's scores before its first step."""
    entries = watch(monkeypatch)
    run = execution(plan_config(space, 1, grow={"gru.0": 3, "gru.2": 2}, rule=rule))
    before = scores(run.module, run.dev)
    result = run.run_epoch()
    assert run.best_eer == result["eer"] == best_eer_again(run)
    grown = run.arch.build()
    grown.load_state_dict(entries[0].state)
    change = np.abs(scores(grown, run.dev) - before).max()
    assert (change > 1e-4) if rule == "random" else (change < 1e-6)
    assert run.arch.widths == {"gru.0": (6, 3), "gru.1": (5,), "gru.2": (4, 2)}


@MODELS
@pytest.mark.parametrize("carry", [True, False])
def test_rewinding_resets_the_remaining_weights_to_their_values_at_growth(
    model: str, carry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cuts keep the base's neurons; so recovery starts from the weights before growth, with a fresh optimiser."""
    entries = watch(monkeypatch)
    more = {name: 2 for name in GROWN[model] if "branch" not in name}
    widths = architecture(model).total_widths()
    changes = {
        "grow": more, "grow_epoch": 1, "prune_epoch": 2, "prune_steps": 2, "final": {n: widths[n] for n in more},
        "criterion": "original", "after": "rewind_weights", "moments": "carry" if carry else "reset",
    }  # fmt: skip
    run = execution(plan_config("plasticity", 4, **changes), model)
    run.run_epoch()
    before_growth = state_of(run)
    run_all(run)
    assert run.arch.total_widths() == widths
    # A recurrent layer's new units are gone with their group; elsewhere they were joined to the old and cut off.
    returned = entries[3].state
    assert list(returned) == list(before_growth)
    assert all(torch.equal(returned[key], before_growth[key]) for key in returned)
    key = {"resnet18": "fc.weight", "grnn": "gru.0.parts.0.bias_ih", "wav2vec2": "classifier.weight"}[model]
    assert not torch.equal(entries[2].state[key], before_growth[key])
    optimizer = entries[3].optimizer
    assert {int(state["step"]) for state in optimizer.state.values()} == {2}  # the two steps of the last epoch


def test_rewinding_needs_no_neuron_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine neurons to eight in two cuts: half way, 8.5, rounds to 8, and the second cut removes nothing."""
    entries = watch(monkeypatch)
    changes = {
        "grow": {"layer1.0": 5}, "prune_epoch": 1, "prune_steps": 2, "final": {"layer1.0": 8},
        "after": "rewind_weights",
    }  # fmt: skip
    run = execution(plan_config("plasticity", 3, **changes), "resnet18")
    run_all(run)
    grown, rewound = entries[0].state, entries[2].state
    part = "layer1.blocks.0.parts.0."
    for key, value in grown.items():
        if key == f"{part}conv2.weight":
            value = value[:, :8]
        elif key.startswith(part) and value.dim():
            value = value[:8]
        assert torch.equal(rewound[key], value), key


def test_rewinding_without_growth_returns_to_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = watch(monkeypatch)
    changes = {"prune_epoch": 1, "final": {"gru.2": 3}, "criterion": "original", "after": "rewind_weights"}
    base = base_detector("grnn")
    run_all(execution(plan_config("plasticity", 2, **changes), base=base))
    expected = base.module.state_dict()
    expected["head.parts.0.weight"] = expected["head.parts.0.weight"][:, :3]
    for key, value in entries[1].state.items():
        if not key.startswith("gru.2"):
            assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("criterion", ["magnitude", "taylor", "activation"])
def test_the_neuron_that_does_nothing_is_cut(criterion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of four channels, in a base that hardly moves before the cut."""
    entries = watch(monkeypatch)
    base = base_detector("resnet18")
    part = "layer1.blocks.0.parts.0"
    for name in ("conv1.0.weight", "bn1.weight", "bn1.bias"):
        with torch.no_grad():
            base.module.get_parameter(f"{part}.{name}")[1] = 0
    before = base.module.state_dict()[f"{part}.conv2.weight"]
    changes = {"prune_epoch": 1, "final": {"layer1.0": 3}, "criterion": criterion, "lr": 1e-9, "grow_lr": 1e-9}
    run_all(execution(plan_config("plasticity", 2, **changes), "resnet18", base=base))
    torch.testing.assert_close(entries[1].state[f"{part}.conv2.weight"], before[:, [0, 2, 3]], atol=1e-6, rtol=0)


def adam_step(m: Tensor, v: Tensor, step: int, gradient: Tensor, rate: float) -> Tensor:
    """What Adam subtracts at its step number `step`, given the moments before it."""
    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
    return rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)


@pytest.mark.parametrize("moments", ["carry", "reset"])
@pytest.mark.parametrize("change", ["growth", "cut"])
def test_moments_at_a_change_of_structure(moments: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step after it, one step an epoch, against Adam's equations: with the old moments, or with none."""
    entries = watch(monkeypatch)
    if change == "growth":
        changes: dict[str, Any] = {"grow": {"gru.1": 2}, "grow_epoch": 3}
    else:
        changes = {"grow": {}, "prune_epoch": 3, "final": {"gru.0": 5}, "criterion": "original"}
    run = execution(plan_config("plasticity", 4, moments=moments, **changes), train=RandomSplit("grnn", 8, seed=1))
    for _ in range(3):
        run.run_epoch()
    key = "gru.2.parts.0.weight_hh"  # neither change touches its shape
    old = run.optimizer.state[run.module.get_parameter(key)]
    m, v = old["exp_avg"].clone(), old["exp_avg_sq"].clone()
    assert int(old["step"]) == 3
    run.run_epoch()
    parameter = run.module.get_parameter(key)
    assert parameter.grad is not None
    zero = torch.zeros_like(m)
    expected = {
        "carry": adam_step(m, v, 4, parameter.grad, 1e-2),
        "reset": adam_step(zero, zero, 1, parameter.grad, 1e-2),
    }
    moved = entries[3].state[key] - parameter.detach()
    torch.testing.assert_close(moved, expected[moments], atol=1e-7, rtol=1e-4)
    assert (expected["carry"] - expected["reset"]).abs().max() > 1e-3
