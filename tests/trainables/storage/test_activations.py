"""Cached outputs of frozen links: the same training without computing them, shared, bounded, rebuilt when damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detectors import architecture
from runs import CPU, base_detector, plan_config, run_all, state_of, write_store
from trainables.features.store import open_split
from trainables.jobs.pretraining import pretrain
from trainables.models.chain import Chain
from trainables.storage import activations
from trainables.storage.activations import ActivationCache, Layout, StepInputs
from trainables.storage.checkpoint import Detector
from trainables.surgery.freeze import freeze
from trainables.surgery.grow import grow, new_keys
from trainables.trial.execution import Execution
from trainables.trial.plan import Plan

MODELS = pytest.mark.parametrize("model", ["resnet18", "grnn", "wav2vec2"])
HIGH = {"resnet18": "layer4.0", "grnn": "gru.1", "wav2vec2": "encoder.1.ff"}
PLENTY = 10**9


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rounding to float16."""
    monkeypatch.setattr(activations, "SCORE_TOLERANCE", -1.0)


def grown(base: Detector, site: str) -> tuple[Chain, Any]:
    """The base with three more neurons at a site, only these training."""
    wider = grow(base.arch, {site: 3})
    module = wider.build()
    module.load_state_dict({**module.state_dict(), **base.module.state_dict()})
    freeze(module, set(new_keys(base.arch, wider)) & {name for name, _ in module.named_parameters()})
    return module, wider


def step_inputs(base: Detector, site: str, cache: Path, store: Path, limit: int = PLENTY) -> tuple[Chain, StepInputs]:
    module, arch = grown(base, site)
    splits = open_split(store, "train"), open_split(store, "dev")
    found = ActivationCache(cache, store, limit).step_inputs(module, arch, *splits, device=CPU, reference=base.module)
    return module, found


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


@given(st.lists(st.permutations([1, 2, 3]), min_size=1, max_size=3), st.integers(1, 3))
def test_layout_round_trip_keeps_values_and_strides(orders: list[list[int]], batch: int) -> None:
    tensors = [torch.randn(batch, 2, 3, 4).permute(0, *order) for order in orders]
    layout = Layout.from_tensors(tensors)
    rows = layout.pack(tensors)
    assert rows.shape == (batch, 24 * len(tensors))
    for before, after in zip(tensors, layout.unpack(rows), strict=True):
        assert torch.equal(before, after)
        assert after.dim_order() == before.dim_order()


@MODELS
def test_logits_and_gradients_are_those_from_the_features(model: str, tmp_path: Path, exact: None) -> None:
    base, store = base_detector(model), write_store(tmp_path / "store", model)
    module, cached = step_inputs(base, HIGH[model], tmp_path / "cache", store)
    assert cached.boundary == module.frozen_links() > 0
    index = np.array([7, 0, 3])
    x, rows = (torch.from_numpy(split.batch(index)) for split in (open_split(store, "train"), cached.train))
    gradients = []
    for logits in (module.eval()(x), cached.forward(module, rows)):
        module.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0])).backward()
        gradients.append([logits.detach(), *(p.grad for p in module.parameters() if p.grad is not None)])
    for before, after in zip(*gradients, strict=True):
        torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


@MODELS
@pytest.mark.parametrize("space", ["dropin", "plasticity"])
def test_a_plan_ends_the_same_with_and_without(space: str, model: str, tmp_path: Path, exact: None) -> None:
    base, store = base_detector(model), write_store(tmp_path / "store", model)
    growth = {"grow": {HIGH[model]: 2}, "train": "new"} if space == "dropin" else {"grow": {HIGH[model]: 2}}
    plan = Plan.from_config(plan_config(space, 2, **growth), base.arch)
    ends = []
    for cached in (None, ActivationCache(tmp_path / "cache", store, PLENTY)):
        splits = open_split(store, "train"), open_split(store, "dev")
        run = Execution(plan, base, *splits, seed=3, device=CPU, activations=cached)
        results = run_all(run)
        links = {result.pop("cached_links") for result in results}
        ends.append((results, state_of(run)))
    # Of full retraining only wav2vec 2.0's convolutions are frozen.
    assert links == ({run.inputs.boundary} if space == "dropin" else {int(model == "wav2vec2")})
    for before, after in zip(ends[0][0], ends[1][0], strict=True):
        assert after == pytest.approx(before, abs=1e-5)
    for key, value in ends[0][1].items():
        torch.testing.assert_close(ends[1][1][key], value, atol=1e-5, rtol=1e-5)


def test_labels_and_names_are_those_of_the_features(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store")
    _, cached = step_inputs(base_detector("grnn"), "gru.1", tmp_path / "cache", store)
    for name, split in (("train", cached.train), ("dev", cached.dev)):
        features = open_split(store, name)
        assert split.labels.tolist() == features.labels.tolist()
        assert list(split.names) == list(features.names)
        assert list(split.attacks) == list(features.attacks)


def test_float16_only_where_scores_stay_within_the_tolerance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, store = base_detector("grnn"), write_store(tmp_path / "store")
    _, cached = step_inputs(base, "gru.1", tmp_path / "half", store)
    assert cached.train.settings["dtype"] == "float16"
    monkeypatch.setattr(activations, "SCORE_TOLERANCE", 1e-9)
    _, cached = step_inputs(base, "gru.1", tmp_path / "full", store)
    assert cached.train.settings["dtype"] == "float32"


def test_too_large_for_float16_is_cached_as_float32(tmp_path: Path) -> None:
    base, store = base_detector("resnet18"), write_store(tmp_path / "store", "resnet18")
    state = base.module.state_dict()
    state["layer3.blocks.1.bn2.bias"] += 1e6  # beyond 65,504, the largest float16
    base.module.load_state_dict(state)
    _, cached = step_inputs(base, "layer4.0", tmp_path / "cache", store)
    assert cached.train.settings["dtype"] == "float32"
    assert np.isfinite(cached.train.batch([0])).all()


def test_the_same_frozen_links_share_a_folder(tmp_path: Path) -> None:
    base, store, cache = base_detector("grnn"), write_store(tmp_path / "store"), tmp_path / "cache"
    step_inputs(base, "gru.1", cache, store)
    written = (cache / folders(cache)[0] / "train.arrow").stat().st_mtime_ns
    step_inputs(base, "gru.1", cache, store)
    assert len(folders(cache)) == 1
    assert (cache / folders(cache)[0] / "train.arrow").stat().st_mtime_ns == written


def test_other_weights_or_features_or_boundaries_do_not(tmp_path: Path) -> None:
    base, cache = base_detector("grnn"), tmp_path / "cache"
    stores = [write_store(tmp_path / name) for name in ("one", "two")]
    step_inputs(base, "gru.1", cache, stores[0])
    step_inputs(base, "gru.1", cache, stores[1])
    assert len(folders(cache)) == 2
    step_inputs(base, "gru.2", cache, stores[0])
    assert len(folders(cache)) == 3
    state = base.module.state_dict()
    state["gru.1.parts.0.bias_hh"] += 1  # above the boundary of gru.1: changes nothing there
    base.module.load_state_dict(state)
    step_inputs(base, "gru.1", cache, stores[0])
    assert len(folders(cache)) == 3
    state["gru.0.parts.0.bias_hh"] += 1
    base.module.load_state_dict(state)
    step_inputs(base, "gru.1", cache, stores[0])
    assert len(folders(cache)) == 4


@pytest.mark.parametrize("limit", [0, 1000])
def test_activations_beyond_the_limit_are_computed_each_time(limit: int, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store")
    _, cached = step_inputs(base_detector("grnn"), "gru.1", tmp_path / "cache", store, limit)
    assert (cached.boundary, cached.layout) == (0, None)
    assert cached.train.path == store / "train.arrow"


def test_the_least_recently_used_is_evicted(tmp_path: Path) -> None:
    base, store, cache = base_detector("grnn"), write_store(tmp_path / "store"), tmp_path / "cache"
    step_inputs(base, "gru.1", cache, store)
    first = folders(cache)[0]
    size = sum(file.stat().st_size for file in (cache / first).iterdir())
    step_inputs(base, "gru.2", cache, store)
    second = next(name for name in folders(cache) if name != first)
    os.utime(cache / first, (2, 2))
    os.utime(cache / second, (1, 1))
    step_inputs(base, "gru.1", cache, store)  # used again
    _, cached = step_inputs(base_detector("grnn", architecture("grnn")), "gru.1", cache, store)
    other = write_store(tmp_path / "other")
    step_inputs(base, "gru.1", cache, other, limit=int(2.5 * size))
    assert second not in folders(cache)
    assert first in folders(cache)
    assert len(folders(cache)) == 2
    assert cached.train.batch([0]).shape[0] == 1, "an open file stays readable"


@pytest.mark.parametrize("harm", ["cut off", "gone"])
def test_a_damaged_file_is_rebuilt(harm: str, tmp_path: Path) -> None:
    base, store, cache = base_detector("grnn"), write_store(tmp_path / "store"), tmp_path / "cache"
    _, before = step_inputs(base, "gru.1", cache, store)
    rows = before.dev.batch([1, 2])
    file = cache / folders(cache)[0] / "dev.arrow"
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100])
    _, after = step_inputs(base, "gru.1", cache, store)
    assert after.boundary
    np.testing.assert_array_equal(after.dev.batch([1, 2]), rows)


def test_random_windows_are_not_cached(tmp_path: Path) -> None:
    base, store = base_detector("grnn"), write_store(tmp_path / "store")
    plan = Plan.from_config(plan_config("dropin", 1, grow={"gru.1": 2}, train="new"), base.arch)
    splits = open_split(store, "train"), open_split(store, "dev")
    cached = ActivationCache(tmp_path / "cache", store, PLENTY)
    run = Execution(plan, base, *splits, seed=3, device=CPU, random_crop=True, activations=cached)
    assert run.run_epoch()["cached_links"] == 0
    assert not (tmp_path / "cache").exists()


def test_the_base_caches_its_frozen_convolutions_as_well(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", "wav2vec2")
    card: dict[str, Any] = {"front_end": "waveform", "corpus": {"name": "random"}}
    bases: list[list[dict[str, Any]]] = []
    for cached in (None, ActivationCache(tmp_path / "cache", store, PLENTY)):
        folder = tmp_path / f"base{len(bases)}"
        settings: dict[str, Any] = {"epochs": 1, "seed": 0, "random_crop": False, "card": card, "gpu": False}
        bases.append(
            list(pretrain(architecture("wav2vec2"), features=store, folder=folder, activations=cached, **settings))
        )
    assert len(folders(tmp_path / "cache")) == 1
    assert bases[1][0]["loss"] == pytest.approx(bases[0][0]["loss"], abs=1e-3)
