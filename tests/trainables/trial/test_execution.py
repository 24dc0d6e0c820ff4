"""Plans carried out on small detectors: trainable and frozen parameters, results and final detectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from detectors import RandomSplit, architecture
from runs import (
    FINAL,
    GROWN,
    WindowedSplit,
    base_detector,
    best_eer_again,
    execution,
    plan_config,
    run_all,
    state_of,
    watch,
)
from trainables import models
from trainables.trial.execution import Execution
from trainables.trial.plan import Plan
from trainables.trial.training import Diverged, scores

MODELS = pytest.mark.parametrize("model", models.NAMES)


@MODELS
@pytest.mark.parametrize("train", ["new", "new+head", "all"])
def test_dropin_ends_in_the_detector_that_was_best(model: str, train: str) -> None:
    run = execution(plan_config("dropin", 2, grow=GROWN[model], train=train), model)
    results = run_all(run)
    assert [result["stage"] for result in results] == ["grow", "grow"]
    widths = architecture(model).total_widths()
    assert run.plan.final.total_widths() == {n: width + GROWN[model].get(n, 0) for n, width in widths.items()}
    assert run.best_eer == min(result["eer"] for result in results) == best_eer_again(run)
    assert run.best_epoch == 1 + [result["eer"] for result in results].index(run.best_eer)
    detector = run.plan.final.build()
    detector.load_state_dict(run.best or {})
    # As many are accepted as at the reported threshold, though merged weights round differently.
    again = scores(detector, run.dev)
    assert (again >= run.best_threshold).sum() == (again >= results[run.best_epoch - 1]["threshold"] - 1e-6).sum()


@MODELS
@pytest.mark.parametrize("train", ["new", "all"])
def test_bf16_autocast_trains_like_float32(model: str, train: str) -> None:
    """To the precision of bfloat16, 1 part in 256; the detector itself stays float32."""
    config = plan_config("dropin", 2, grow=GROWN[model], train=train, lr=1e-3, grow_lr=1e-3)
    exact, autocast = (execution(config, model, precision=precision) for precision in ("float32", "bfloat16"))
    losses = [[result["loss"] for result in run_all(run)] for run in (exact, autocast)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05, atol=0.02)
    assert all(value.dtype in (torch.float32, torch.int64) for value in (autocast.best or {}).values())


@MODELS
def test_plasticity_ends_in_the_detector_that_was_best(model: str) -> None:
    changes = {
        "grow": GROWN[model], "grow_epoch": 1, "prune_epoch": 2, "prune_steps": 2, "final": FINAL[model],
        "criterion": "magnitude",
    }  # fmt: skip
    run = execution(plan_config("plasticity", 5, **changes), model)
    results = run_all(run)
    assert [result["stage"] for result in results] == ["retrain", "grow", "prune", "recover", "recover"]
    widths = architecture(model).total_widths()
    grown = {name: width + GROWN[model].get(name, 0) for name, width in widths.items()}
    assert run.plan.final.total_widths() == {**grown, **FINAL[model]}
    # Before the last cut, after epoch 3, the detector had another size.
    assert run.best_eer == min(result["eer"] for result in results[3:]) == best_eer_again(run)
    assert run.best_epoch == 4 + [result["eer"] for result in results[3:]].index(run.best_eer)


def test_an_epoch_with_another_size_is_never_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    eers = iter([0.0, 0.1, 0.5, 0.3, 0.3])
    monkeypatch.setattr("trainables.trial.execution.eer_of", lambda *_: (next(eers), 7.0))
    changes = {"grow": {"gru.0": 2}, "prune_epoch": 2, "final": {"gru.0": 6}}
    run = execution(plan_config("plasticity", 5, **changes))
    for best, epoch in [(1.0, 0), (1.0, 0), (0.5, 3), (0.3, 4), (0.3, 4)]:
        run.run_epoch()
        assert (run.best_eer, run.best_epoch, run.best is not None) == (best, epoch, epoch > 0)


@MODELS
def test_gradual_cuts_reach_the_widths_of_the_plan(model: str) -> None:
    steps = {
        "resnet18": ("layer1.1", 4, 5, 3, [9, 7, 5, 3]),
        "grnn": ("gru.1", 5, 5, 3, [10, 8, 5, 3]),  # 7.67 and 5.33 in between
        "wav2vec2": ("encoder.1.heads", 4, 2, 2, [6, 5, 3, 2]),  # 4.67 and 3.33
    }
    site, width, more, final, expected = steps[model]
    changes = {"grow": {site: more}, "prune_epoch": 1, "prune_steps": 3, "final": {site: final}, "criterion": "taylor"}
    run = execution(plan_config("plasticity", 4, **changes), model)
    found = []
    for _ in expected:
        run.run_epoch()
        found.append(run.arch.total_widths()[site])
        shapes = {key: value.shape for key, value in run.arch.build().state_dict().items()}
        assert {key: value.shape for key, value in run.module.state_dict().items()} == shapes
    assert width + more == expected[0]
    assert found == expected


@MODELS
@pytest.mark.parametrize("train", ["new", "new+head"])
def test_frozen_tensors_stay_bit_for_bit(model: str, train: str) -> None:
    """Weights, BatchNorm statistics and counters, over both growths; nothing frozen holds a gradient."""
    base = base_detector(model)
    before = {key: value.clone() for key, value in base.module.state_dict().items()}
    changes = {"grow": {n: 2 * c for n, c in GROWN[model].items() if "branch" not in n}, "grow_steps": 2}
    run = execution(plan_config("dropin", 4, train=train, **changes), model, base=base)
    run_all(run)
    after = run.module.state_dict()
    head = tuple(models.load(model).HEAD) if train == "new+head" else ("-",)
    assert {key for key in before if not torch.equal(after[key], before[key])} == {
        key for key in before if key.startswith(head)
    }
    trained = {name: parameter for name, parameter in run.module.named_parameters() if parameter.grad is not None}
    assert set(trained) == {n for n, _ in run.module.named_parameters() if n not in before or n.startswith(head)}
    assert all(torch.equal(value, before[key]) for key, value in base.module.state_dict().items())


@pytest.mark.parametrize("changes", [{}, {"prune_epoch": 1, "final": {"layer1.0": 3}, "after": "rewind_weights"}])
def test_the_base_is_left_alone(changes: dict[str, Any]) -> None:
    """It is shared by all trials of a worker."""
    base = base_detector("resnet18")
    before = {key: value.clone() for key, value in base.module.state_dict().items()}
    run_all(execution(plan_config("plasticity", 2, **changes), "resnet18", base=base))
    assert all(torch.equal(value, before[key]) for key, value in base.module.state_dict().items())
    assert not base.module.training
    assert all(parameter.grad is None for parameter in base.module.parameters())


def test_the_convolutions_of_wav2vec2_never_train() -> None:
    run = execution(plan_config("plasticity", 1), "wav2vec2")
    before = state_of(run)
    run.run_epoch()
    changed = {key for key, value in run.module.state_dict().items() if not torch.equal(value, before[key])}
    frozen = {key for key in before if key.startswith(tuple(models.load("wav2vec2").FROZEN))}
    assert frozen
    assert changed == set(before) - frozen


@MODELS
def test_the_control_is_plain_training_of_the_base(model: str) -> None:
    """Against a loop written by hand: AdamW, clipping, cosine, and a new optimiser at epoch 2."""
    changes = {
        "optimizer": "adamw", "weight_decay": 0.1, "lr": 3e-3, "grow_lr": 3e-3, "clip": 0.5, "schedule": "cosine",
        "restarts": [2],
    }  # fmt: skip
    train, dev = RandomSplit(model, 21, seed=1), RandomSplit(model, 14, seed=2)
    base = base_detector(model)
    run = execution(plan_config("plasticity", 4, **changes), model, base=base, seed=5, train=train, dev=dev)

    module = base.arch.build()
    module.load_state_dict(base.module.state_dict())
    frozen = ("wav2vec2.feature_extractor.", "wav2vec2.masked_spec_embed")
    trained = [parameter for name, parameter in module.named_parameters() if not name.startswith(frozen)]
    loss = functional.multi_margin_loss if model == "grnn" else functional.cross_entropy
    order = np.random.default_rng([5, 0])
    for epoch in range(4):
        rate = 3e-3 * (1 + math.cos(math.pi * epoch / 4)) / 2
        if epoch in (0, 2):
            optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.1, fused=True)
        optimizer.param_groups[0]["lr"] = rate
        module.train()
        losses = []
        shuffled = order.permutation(21)
        for index in (shuffled[:8], shuffled[8:16], shuffled[16:]):
            optimizer.zero_grad()
            value = loss(module(torch.from_numpy(train.features[index])), torch.from_numpy(train.labels[index]))
            value.backward()
            nn.utils.clip_grad_norm_(trained, 0.5)
            optimizer.step()
            losses += [value.item()] * len(index)
        result = run.run_epoch()
        assert result["stage"] == "retrain"
        assert result["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(run.module.state_dict()[key], value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores(run.module, run.dev), scores(module, run.dev), rtol=1e-4, atol=1e-6)


def test_learning_rates_of_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = watch(monkeypatch)
    changes = {
        "grow": {"gru.0": 1}, "grow_epoch": 2, "prune_epoch": 4, "final": {"gru.0": 6}, "lr": 0.04, "grow_lr": 0.02,
        "recover_lr": 0.01, "schedule": "cosine",
    }  # fmt: skip
    run_all(execution(plan_config("plasticity", 6, **changes)))
    rates = [entry.rates for entry in entries]
    assert rates == [[pytest.approx(rate)] for rate in (0.04, 0.02, 0.02, 0.01, 0.01, 0.005)]


def test_plan_settings_reach_training(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = watch(monkeypatch)
    run_all(execution(plan_config("plasticity", 1, clip=0.25, batch_size=5, optimizer="adamw", weight_decay=0.5)))
    (entry,) = entries
    assert (entry.settings["clip"], entry.settings["batch_size"]) == (0.25, 5)
    assert type(entry.optimizer) is torch.optim.AdamW
    assert entry.optimizer.param_groups[0]["weight_decay"] == 0.5


@MODELS
def test_same_seed_same_run_and_another_seed_another(model: str) -> None:
    config = plan_config("plasticity", 3, grow=GROWN[model], prune_epoch=2, final=FINAL[model], criterion="random")
    first, again, other = (execution(config, model, seed=seed) for seed in (3, 3, 4))
    results = [run_all(first), run_all(again), run_all(other)]
    assert results[0] == results[1]
    assert first.best is not None
    assert again.best is not None
    assert all(torch.equal(first.best[key], again.best[key]) for key in first.best)
    assert results[0][0]["loss"] != results[2][0]["loss"]


def test_random_crop_is_for_training_alone() -> None:
    config = plan_config("plasticity", 2, grow={"gru.0": 2}, prune_epoch=1, final={"gru.0": 6}, criterion="taylor")
    results = []
    for random_crop in (False, True):
        train, dev = WindowedSplit("grnn", 20, seed=1), WindowedSplit("grnn", 14, seed=2)
        results.append(run_all(execution(config, train=train, dev=dev, random_crop=random_crop)))
        assert (train.drawn, dev.drawn) == (40 if random_crop else 0, 0)
    assert results[0] != results[1]


def test_trainable_parameters_by_hand() -> None:
    # Layers of 6, 5 and 4 units. Two more in the first: 3 * 2 rows on 20 inputs, 6 and 2 states and 2 biases; and the
    # 3 * 5 rows of the second layer get 2 more columns.
    run = execution(plan_config("dropin", 1, grow={"gru.0": 2}, train="new"))
    assert run.run_epoch()["trainable_parameters"] == 6 * (20 + 6 + 2 + 2) + 15 * 2
    run = execution(plan_config("dropin", 1, grow={"gru.0": 2}, train="new+head"))
    assert run.run_epoch()["trainable_parameters"] == 6 * (20 + 6 + 2 + 2) + 15 * 2 + 2 * 4 + 2
    run = execution(plan_config("dropin", 1, grow={"gru.0": 2}, train="all"))
    assert run.run_epoch()["trainable_parameters"] == run.plan.final.size()


def test_diverged_loss_and_scores_raise() -> None:
    train = RandomSplit("resnet18", 20, seed=1)
    train.features[7] = np.nan
    with pytest.raises(Diverged, match="training loss is nan"):
        execution(plan_config("plasticity", 1), "resnet18", train=train).run_epoch()
    dev = RandomSplit("grnn", 14, seed=2)
    dev.features[3] = np.inf
    with pytest.raises(Diverged, match="scores are not finite"):
        execution(plan_config("plasticity", 1), dev=dev).run_epoch()


def test_a_plan_for_another_base_is_refused() -> None:
    plan = Plan.from_config(plan_config("plasticity", 1), architecture("resnet18"))
    split: Any = RandomSplit("grnn", 4)
    with pytest.raises(ValueError, match="made for another base"):
        Execution(plan, base_detector("grnn"), split, split, seed=0, device=torch.device("cpu"))
