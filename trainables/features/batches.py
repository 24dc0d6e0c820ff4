"""Batches of a split as tensors on the training device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.features.split import Split


def batches(
    split: Split,
    order: Sequence[int] | np.ndarray,
    size: int,
    device: torch.device,
    crop: np.random.Generator | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Features ``[size, ...]`` float32 and labels ``[size]`` on `device`, in this order; the last batch may be smaller.

    With `crop` each utterance is a random window, if the features have more than one.
    """
    for start in range(0, len(order), size):
        index = np.asarray(order[start : start + size])
        x = torch.from_numpy(split.batch(index, crop))
        y = torch.from_numpy(split.labels[index])
        if device.type == "cuda":  # pinned memory allows asynchronous copies
            yield x.pin_memory().to(device, non_blocking=True), y.pin_memory().to(device, non_blocking=True)
        else:
            yield x, y
