"""Small plans, bases, executions and feature folders for tests of whole trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from answers import budget_of
from detectors import SHAPES, RandomSplit, architecture, trained_like
from spaces.shared import unchanged
from trainables.corpora.corpus import Utterance
from trainables.features.split import SplitWriter
from trainables.metrics.eer import eer_of
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import Detector
from trainables.trial.execution import Execution
from trainables.trial.plan import Plan
from trainables.trial.training import scores, train_epoch

CPU = torch.device("cpu")
GROWN: Mapping[str, Mapping[str, int]] = {
    "resnet18": {"layer1.1": 3, "layer2.branch": 2, "layer3.0": 2},
    "grnn": {"gru.0": 3, "gru.2": 2},
    "wav2vec2": {"encoder.0.heads": 1, "encoder.1.ff": 3, "encoder.2.branch": 1},
}
"""Growth of each small detector, sites of every kind among it."""
FINAL: Mapping[str, Mapping[str, int]] = {
    "resnet18": {"layer1.1": 3, "layer2.branch": 0, "layer4.1": 20},
    "grnn": {"gru.0": 7, "gru.1": 3, "gru.2": 4},
    "wav2vec2": {"encoder.0.heads": 3, "encoder.1.ff": 50, "encoder.2.branch": 0},
}
"""Widths to cut it to: above, at and below those of the base."""


class WindowedSplit(RandomSplit):
    """Two windows an utterance to draw from, and how many were drawn so far."""

    drawn = 0

    def batch(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """The first window, or one that `rng` draws: the second is the first one, louder."""
        if rng is None:
            return self.features[indices]
        self.drawn += len(indices)
        louder = rng.integers(2, size=len(indices)).astype(np.float32)
        return self.features[indices] * (1 + louder.reshape(-1, *[1] * (self.features.ndim - 1)))


@dataclass(frozen=True)
class Entry:
    """Arguments of `train_epoch` at the start of an epoch; the optimiser is not a copy."""

    state: dict[str, Tensor]
    rates: list[float]
    optimizer: torch.optim.Optimizer
    settings: dict[str, Any]


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """A list to which every epoch of an execution adds an entry."""
    seen: list[Entry] = []

    def watched(module: nn.Module, split: Any, optimizer: torch.optim.Optimizer, loss: Any, **settings: Any) -> Any:
        state = {key: value.clone() for key, value in module.state_dict().items()}
        seen.append(Entry(state, [group["lr"] for group in optimizer.param_groups], optimizer, settings))
        return train_epoch(module, split, optimizer, loss, **settings)

    monkeypatch.setattr("trainables.trial.execution.train_epoch", watched)
    return seen


def plan_config(space: str, epochs: int, **changes: Any) -> dict[str, Any]:
    """A complete plan: a plain retrain with Adam at 0.01 in batches of 8, but for `changes`."""
    return {**unchanged(space, budget_of(epochs, 1e-2, 8)), **changes}


def base_detector(model: str, arch: Architecture | None = None) -> Detector:
    """A base with weights of its own, as if it had been trained."""
    arch = arch or architecture(model)
    return Detector(arch, trained_like(arch), {})


def execution(
    config: Mapping[str, Any],
    model: str = "grnn",
    *,
    seed: int = 0,
    base: Detector | None = None,
    train: Any = None,
    dev: Any = None,
    random_crop: bool = False,
    precision: str = "float32",
) -> Execution:
    """An execution on 12 random training utterances (two steps an epoch) and 10 of dev."""
    base = base or base_detector(model)
    train = train or RandomSplit(model, 12, seed=1)
    dev = dev or RandomSplit(model, 10, seed=2)
    plan = Plan.from_config(config, base.arch)
    return Execution(plan, base, train, dev, seed=seed, device=CPU, random_crop=random_crop, precision=precision)


def state_of(run: Execution) -> dict[str, Tensor]:
    """A copy of the current detector's state dict."""
    return {key: value.clone() for key, value in run.module.state_dict().items()}


def run_all(run: Execution) -> list[dict[str, Any]]:
    """The results of all remaining epochs, without timings."""
    results = []
    while run.epoch < run.plan.epochs:
        result = run.run_epoch()
        results.append({key: value for key, value in result.items() if not key.startswith("seconds")})
    return results


def best_eer_again(run: Execution) -> float:
    """The EER on dev of the best state, loaded into what the plan calls the final architecture."""
    module = run.plan.final.build()
    assert run.best is not None
    module.load_state_dict(run.best)
    return eer_of(scores(module, run.dev), run.dev.labels)[0]


def write_store(folder: Path, model: str = "grnn", *, train: int = 12, dev: int = 10) -> Path:
    """A feature folder as ``trainables.features.store.build`` leaves one, of random features."""
    folder.mkdir(parents=True)
    shape = SHAPES[model]
    for seed, (name, utterances) in enumerate({"train": train, "dev": dev}.items(), 1):
        split = RandomSplit(model, utterances, seed)
        with SplitWriter(folder / f"{name}.arrow", {"shape": list(shape), "dtype": "float32"}) as writer:
            for number, features in enumerate(split.features):
                label = int(split.labels[number])
                writer.add(Utterance(f"u{number}", Path("-"), label, "s", "-" if label else "A01"), features[None])
            writer.finish([])
    return folder
