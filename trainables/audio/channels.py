"""One channel of several: their mean, or one of them where they cancel each other."""

from __future__ import annotations

import numpy as np

CANCELLED = 0.01
"""Energy of the mean, against that of channels that have nothing in common, below which channels cancel each other."""
AS_LOUD = 0.5
"""Energy of a channel, against that of the loudest one, from which on it can stand for all."""


def mixed(samples: np.ndarray) -> tuple[np.ndarray, bool]:
    """Average channels, unless they cancel each other, as two do of which one is inverted.

    The mean of n channels that have nothing in common has an n-th of their mean energy. Where it has less than a
    hundredth of that, the first channel that is about as loud as the loudest one is taken.

    Args:
        samples: ``[samples, channels]``, float.

    Returns:
        ``[samples]``, and whether the channels cancel each other.
    """
    mean: np.ndarray = samples.mean(axis=1)
    channels = samples.shape[1]
    if channels == 1 or not len(samples):
        return mean, False
    energies = np.einsum("nc,nc->c", samples, samples, dtype=np.float64)
    if not np.dot(mean.astype(np.float64), mean) * channels < CANCELLED * energies.mean():
        return mean, False  # also where a sample is not finite
    return np.ascontiguousarray(samples[:, np.argmax(energies >= AS_LOUD * energies.max())]), True
