"""Audio of any sampling rate at 16 kHz, as a whole or block by block."""

from __future__ import annotations

import math

import numpy as np
import torch
import torchaudio.functional

SAMPLE_RATE = 16000
MAX_FILTER_TAPS = 2**22
"""Taps of all phases of a resampling filter, 32 MB; all usual rates need far fewer."""
FILTER_PERIODS = 11
"""Half the length of either library's filter is less than so many samples of the lower of the two rates."""


def resampled(mono: np.ndarray, rate: int) -> np.ndarray:
    """A waveform at 16 kHz.

    Args:
        mono: float32 ``[samples]``.
        rate: its rate in Hz.

    Returns:
        float32, ``ceil(samples * 16000 / rate)`` samples.
    """
    if rate == SAMPLE_RATE:
        return mono
    common = math.gcd(rate, SAMPLE_RATE)
    if rate * SAMPLE_RATE // common**2 <= MAX_FILTER_TAPS:
        found: np.ndarray = torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
        return found
    # Unusual rates: torchaudio would allocate all phases of its filter, gigabytes of them.
    from scipy.signal import resample_poly  # a slow import that usual rates do not need

    unusual: np.ndarray = resample_poly(mono, SAMPLE_RATE // common, rate // common)
    return unusual


class Resampler:
    """What `resampled` gives, of a waveform that comes in blocks.

    A block is resampled together with as many samples before and behind it as the filter is long, and what these give
    is cut off. Cuts lie where input and output have a sample at the same time, every `down` samples of the input.
    """

    def __init__(self, rate: int) -> None:
        """Resample from `rate`, in Hz."""
        common = math.gcd(rate, SAMPLE_RATE)
        self._rate, self._down, self._up = rate, rate // common, SAMPLE_RATE // common
        reach = math.ceil(FILTER_PERIODS * max(1.0, rate / SAMPLE_RATE))
        self._context = -(-reach // self._down)
        self._held = np.zeros(0, np.float32)
        self._before = 0  # how many times `down` samples at the beginning of what is held are context only

    def push(self, block: np.ndarray) -> np.ndarray:
        """The samples that are complete with this block, float32 ``[samples]``; perhaps none."""
        if self._rate == SAMPLE_RATE:
            return block
        self._held = np.concatenate([self._held, block])
        complete = len(self._held) // self._down - self._context
        if complete <= self._before:
            return np.zeros(0, np.float32)
        found = resampled(self._held, self._rate)[self._before * self._up : complete * self._up]
        first = max(0, complete - self._context)
        self._held, self._before = self._held[first * self._down :], complete - first
        return found

    def finish(self) -> np.ndarray:
        """The samples that are left at the end, float32 ``[samples]``."""
        if not len(self._held):
            return np.zeros(0, np.float32)
        return resampled(self._held, self._rate)[self._before * self._up :]
