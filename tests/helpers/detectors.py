"""Small detectors and random features for them, for the suites that run over every model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.storage.checkpoint import save_detector

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "resnet18": {"width": 4},
    "grnn": {"layers": [6, 5, 4]},
    "wav2vec2": {"checkpoint": "tiny"},
}
SHAPES: Mapping[str, tuple[int, ...]] = {"resnet18": (1, 64, 40), "grnn": (30, 20), "wav2vec2": (4000,)}


def architecture(model: str) -> Architecture:
    """A base small enough for tests."""
    return Architecture.create(model, OPTIONS[model])


def features(model: str, utterances: int = 4, seed: int = 0) -> Tensor:
    """Standard normal input, ``[utterances, ...]``."""
    return torch.randn(utterances, *SHAPES[model], generator=torch.Generator().manual_seed(seed))


def trained_like(arch: Architecture, seed: int = 0) -> Chain:
    """A module in evaluation mode whose every parameter and statistic differs from its initial value."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    module = arch.build()
    state = module.state_dict()
    for key, value in state.items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            state[key] = value + 0.1 * (noise - 0.5) if "running_var" not in key else 0.5 + noise
    module.load_state_dict(state)
    return module.eval()


class RandomSplit:
    """What `trainables.features.split.Split` offers to training, over random features that depend on the label."""

    def __init__(self, model: str, utterances: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.labels = np.arange(utterances) % 2
        self.names = [f"u{i}" for i in range(utterances)]
        shape = (utterances, *SHAPES[model])
        shift = self.labels.reshape(-1, *[1] * len(SHAPES[model])) * 0.5
        self.features = (random.normal(size=shape) + shift).astype(np.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """The features of these utterances."""
        return self.features[indices]


def growable(arch: Architecture) -> Iterator[tuple[str, int]]:
    """Each site that can grow with a number of neurons that it can take, odd where more than one."""
    for name, site in arch.sites().items():
        room = 3 if site.limit is None else min(site.limit - site.width, 3)
        if room:
            yield name, room


def saved_detector(folder: Path, **changed: Any) -> Path:
    """An untrained detector in a folder, with a card that says how to use it; ``None`` leaves a fact out."""
    arch = architecture("resnet18")
    card: dict[str, Any] = {"front_end": "log_mel", "seconds": 4.0, "threshold": 0.0, **changed}
    save_detector(folder, arch, trained_like(arch).state_dict(), {k: v for k, v in card.items() if v is not None})
    return folder
