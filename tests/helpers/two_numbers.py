"""Utterances of two features each, and a linear detector for them, for closed forms of training and scoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from trainables.trial.training import LOSSES, train_epoch

CPU = torch.device("cpu")


class Rows:
    """A split of given features that records the indices and the generator of every batch."""

    def __init__(self, features: list[list[float]], labels: list[int]) -> None:
        self.features, self.labels = np.array(features, np.float32), np.array(labels)
        self.indices: list[list[int]] = []
        self.generators: list[np.random.Generator | None] = []

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        self.indices.append(list(indices))
        self.generators.append(rng)
        return self.features[indices]


def rows(count: int) -> Any:
    random = np.random.default_rng(0)
    return Rows(random.normal(size=(count, 2)).tolist(), [number % 2 for number in range(count)])


def linear(weight: list[list[float]] | None = None) -> nn.Linear:
    """Logits ``W x``; the identity by default."""
    module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight or [[1.0, 0.0], [0.0, 1.0]]))
    return module


def epoch(module: nn.Module, split: Any, rate: float = 0.0, loss: str = "cross_entropy", **settings: Any) -> Any:
    """An epoch of SGD, by default in batches of 3."""
    optimizer = torch.optim.SGD(module.parameters(), lr=rate)
    settings = {"batch_size": 3, "order": np.random.default_rng(0), "device": CPU, **settings}
    return train_epoch(module, split, optimizer, LOSSES[loss], **settings)
