"""Segments of fixed length from utterances of any length: short ones are repeated, long ones truncated."""

from __future__ import annotations

import numpy as np

from trainables.errors import DropinError

MOST_SECONDS = 60.0
LEAST_SECONDS = 0.1


def samples_in(seconds: float, rate: int) -> int:
    """The length of a segment in samples.

    Raises:
        DropinError: `seconds` is not between 0.1 and 60.
    """
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise DropinError(f"a segment must last {LEAST_SECONDS} to {MOST_SECONDS:g} seconds; got {seconds}")
    return round(seconds * rate)


def segment(audio: np.ndarray, samples: int, start: int = 0) -> np.ndarray:
    """`samples` samples of an utterance from `start` on; a shorter utterance is repeated.

    Args:
        audio: ``[length]``, at least one sample.
        samples: length of the result, at least 1.
        start: first sample, ``0 <= start <= max(0, length - samples)``.

    Returns:
        ``[samples]``, a view of `audio` unless it is repeated.

    Raises:
        DropinError: empty audio or a window that does not lie in it.
    """
    if audio.ndim != 1 or not len(audio):
        raise DropinError(f"audio must have one dimension and at least one sample; got shape {audio.shape}")
    if samples < 1:
        raise DropinError(f"a segment must have at least one sample; got {samples}")
    if not 0 <= start <= max(0, len(audio) - samples):
        raise DropinError(f"a window of {samples} samples must lie in the utterance's {len(audio)}; got start {start}")
    if len(audio) < samples:
        return np.tile(audio, -(-samples // len(audio)))[:samples]
    return audio[start : start + samples]


def window_starts(length: int, samples: int, step: int, reach: int) -> tuple[int, ...]:
    """First samples of the windows of an utterance that random cropping draws from.

    One window every `step` samples, and one that ends at the end of the utterance or of its first `reach` samples, so
    that every sample in reach is in a window. The first is 0; a short utterance has no other.

    Args:
        length: samples of the utterance.
        samples: samples of a window.
        step: samples between the starts of two windows, at least 1.
        reach: windows lie in the first `reach` samples.
    """
    last = max(0, min(length, reach) - samples)
    return (*range(0, last, step), last)
