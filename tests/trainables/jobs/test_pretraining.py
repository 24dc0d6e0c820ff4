"""The base: the digest of its folder, atomic writes, and the best of its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detectors import architecture, trained_like
from runs import write_store
from trainables.features.store import open_split
from trainables.jobs import pretraining
from trainables.jobs.pretraining import base_folder, class_counts, pretrain
from trainables.metrics.eer import between, eer_of
from trainables.models import grnn
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trainables.trial.training import Diverged, scores, train_epoch

SETTINGS: dict[str, Any] = {"epochs": 5, "seed": 3, "random_crop": False, "precision": "float32"}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A learning rate at which a few epochs make a difference."""
    monkeypatch.setattr(grnn, "RECIPE", {**grnn.RECIPE, "lr": 0.05, "batch_size": 8})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("features") / "lfcc-0123", train=20, dev=15)


def start(store: Path, folder: Path, **changes: Any) -> Iterator[dict[str, Any]]:
    """Training of a base, not started yet."""
    settings = {**SETTINGS, "card": {"front_end": "lfcc"}, "gpu": False, **changes}
    return pretrain(architecture("grnn"), features=store, folder=folder, **settings)


def test_the_digest_covers_everything_that_a_base_depends_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def folder(options: dict[str, Any] | None = None, features: str = "lfcc-0123", **changes: Any) -> Path:
        arch = Architecture.create("grnn", options or {"layers": [6, 5, 4]})
        return base_folder(arch, features=tmp_path / features, cache=tmp_path, **{**SETTINGS, **changes})

    first = folder()
    assert first == folder()
    assert first.parent == tmp_path / "bases"
    assert first.name.startswith("grnn-")
    assert folder(features="elsewhere/lfcc-0123") == first, "the path of the features does not matter"
    found = [
        first,
        folder({"layers": [6, 5, 5]}),
        folder(features="lfcc-4567"),
        folder(epochs=6),
        folder(seed=4),
        folder(random_crop=True),
        folder(precision="bfloat16"),
    ]
    for name, value in {"lr": 0.04, "optimizer": "adamw", "weight_decay": 0.1, "batch_size": 9, "clip": 1.0}.items():
        with monkeypatch.context() as patch:
            patch.setattr(grnn, "RECIPE", {**grnn.RECIPE, name: value})
            found.append(folder())
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "RECIPE_VERSION", pretraining.RECIPE_VERSION + 1)
        found.append(folder())
    assert len(set(found)) == len(found)
    other = base_folder(architecture("resnet18"), features=tmp_path / "x", cache=tmp_path, **SETTINGS)
    assert other.name.startswith("resnet18-")


def test_the_best_epoch_is_kept(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of five, although a later one has the same EER: the weights of a run of two epochs."""
    eers = [0.4, 0.2, 0.3, 0.2, 0.5]
    for epochs in (2, 5):
        remaining = iter(eers)
        monkeypatch.setattr(pretraining, "eer_of", lambda *given, left=remaining: (next(left), eer_of(*given)[1]))
        results = list(start(store, tmp_path / str(epochs), epochs=epochs))
        assert [result["eer"] for result in results] == eers[:epochs]
        assert [(result["epoch"], result["epochs"]) for result in results] == [(n + 1, epochs) for n in range(epochs)]
    ended, kept = load_detector(tmp_path / "2"), load_detector(tmp_path / "5")
    assert (kept.card["epoch"], kept.card["epochs"], kept.card["eer_dev"]) == (2, 5, 0.2)
    assert kept.card["threshold"] == ended.card["threshold"]
    state = ended.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in kept.module.state_dict().items())


def test_the_card_has_the_results_of_the_detector(store: Path, tmp_path: Path) -> None:
    results = list(start(store, tmp_path / "base"))
    found = load_detector(tmp_path / "base")
    dev = open_split(store, "dev")
    eer, threshold = eer_of(scores(found.module, dev), dev.labels)
    threshold = between(scores(found.module, dev), threshold)
    eers = [result["eer"] for result in results]
    assert found.arch == architecture("grnn")
    assert found.card == {
        "front_end": "lfcc", "eer_dev": eer, "threshold": threshold, "epoch": 1 + eers.index(eer), "epochs": 5,
        "seed": 3, "n_bonafide": 7, "n_spoof": 8,
    }  # fmt: skip
    assert eer == min(eers)


def test_the_folder_is_written_at_the_end_only(store: Path, tmp_path: Path) -> None:
    run = start(store, tmp_path / "bases" / "base")
    for _ in range(5):
        next(run)
        assert not (tmp_path / "bases").exists()
    with pytest.raises(StopIteration):
        next(run)
    assert [path.name for path in (tmp_path / "bases").iterdir()] == ["base"]
    interrupted = start(store, tmp_path / "bases" / "other")
    next(interrupted)
    interrupted.close()  # type: ignore[attr-defined]
    assert [path.name for path in (tmp_path / "bases").iterdir()] == ["base"]


def test_same_seed_same_base_and_another_seed_another(store: Path, tmp_path: Path) -> None:
    results: list[list[tuple[float, float]]] = []
    for name, seed in {"one": 3, "two": 3, "three": 4}.items():
        torch.manual_seed(len(results))  # the global generator's state does not matter
        results.append([(r["loss"], r["eer"]) for r in start(store, tmp_path / name, seed=seed, epochs=2)])
    assert results[0] == results[1]
    assert results[0] != results[2]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "three")]
    assert weights[0] == weights[1] != weights[2]


def test_pretrained_weights_replace_the_initial_ones(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate of almost 0: pretrained tensors are those of the checkpoint, others those of the seed."""
    given = trained_like(architecture("grnn"), seed=9).state_dict()
    given = {key: value for key, value in given.items() if not key.startswith("head.")}
    monkeypatch.setattr(grnn, "RECIPE", {**grnn.RECIPE, "lr": 1e-12})
    monkeypatch.setattr(grnn, "pretrained_state", lambda config: given, raising=False)
    list(start(store, tmp_path / "base", epochs=1))
    torch.manual_seed(3)
    expected = {**architecture("grnn").build().state_dict(), **given}
    found = load_detector(tmp_path / "base").module.state_dict()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-9, rtol=0)


def test_settings_reach_training(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def watched(module: Any, split: Any, optimizer: Any, loss: Any, **settings: Any) -> Any:
        seen.append({**settings, "optimizer": optimizer, "loss": loss, "drawn": settings["order"].bit_generator.state})
        return train_epoch(module, split, optimizer, loss, **settings)

    monkeypatch.setattr(pretraining, "train_epoch", watched)
    recipe = {**grnn.RECIPE, "clip": 0.5, "optimizer": "adamw", "weight_decay": 0.25}
    monkeypatch.setattr(grnn, "RECIPE", recipe)
    list(start(store, tmp_path / "base", epochs=1, random_crop=True))
    assert (seen[0]["clip"], seen[0]["batch_size"], seen[0]["random_crop"]) == (0.5, 8, True)
    assert type(seen[0]["optimizer"]) is torch.optim.AdamW
    assert seen[0]["optimizer"].param_groups[0]["weight_decay"] == 0.25
    assert seen[0]["loss"] is torch.nn.functional.multi_margin_loss
    assert seen[0]["drawn"] == np.random.default_rng([3, 0]).bit_generator.state


def test_a_base_that_diverges_writes_nothing(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "scores", lambda *_, **__: (_ for _ in ()).throw(Diverged("no numbers")))
    with pytest.raises(Diverged):
        list(start(store, tmp_path / "bases" / "base"))
    assert not (tmp_path / "bases").exists()


def test_no_epochs_are_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 epoch; got 0"):
        list(start(store, tmp_path / "base", epochs=0))


def test_class_counts(store: Path) -> None:
    assert class_counts(open_split(store, "train")) == {"n_bonafide": 10, "n_spoof": 10}
    assert class_counts(open_split(store, "dev")) == {"n_bonafide": 7, "n_spoof": 8}
