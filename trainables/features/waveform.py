"""Raw audio for end-to-end detectors: stored as 16-bit integers, standardised to zero mean and unit variance."""

from __future__ import annotations

import math

import numpy as np

SETTINGS = {"bits": 16}
DTYPE = np.dtype(np.int16)
LOWEST, HIGHEST = -32768, 32767


def shape(samples: int) -> tuple[int]:
    """``(samples,)``."""
    return (samples,)


def transform(audio: np.ndarray) -> np.ndarray:
    """A segment as 16-bit integers.

    The level does not matter (see `standardised`), so audio is scaled by the largest power of two without clipping.
    Audio of 16-bit files is stored without loss.

    Args:
        audio: float32 ``[samples]``.

    Returns:
        int16 ``[samples]``.
    """
    steps = max(float(audio.max()) / HIGHEST, float(audio.min()) / LOWEST)
    if not steps > 0:
        return np.zeros(len(audio), DTYPE)
    power_of_two = math.frexp(1 / steps)[1] - 1
    return np.rint(np.ldexp(audio, power_of_two)).astype(DTYPE)


def standardised(stored: np.ndarray) -> np.ndarray:
    """Stored samples as the input of a detector.

    Args:
        stored: int16 ``[samples]``.

    Returns:
        float32 ``[samples]`` of mean 0 and variance 1; zeros for silence.
    """
    samples = stored - np.float32(stored.mean())
    deviation = math.sqrt(np.dot(samples, samples) / len(samples))
    if deviation > 0:
        samples /= np.float32(deviation)
    return samples
