"""Which parts of a recording are scored, and how their scores become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.audio.resampling import SAMPLE_RATE
from trainables.errors import DropinError
from trainables.features.segment import segment

WINDOWS = ("all", "first")
POOLING: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda scores: float(np.mean(scores)),
    "max_spoof": lambda scores: float(min(scores)),
}
LEAST_HOP = 0.01
Window = tuple[int, int, np.ndarray]
"""First sample, end, and float32 ``[samples]``, which a short recording is repeated to."""


@dataclass(frozen=True)
class Windowing:
    """The rule by which a recording is scored.

    Attributes:
        windows: ``all`` for windows over the whole recording, the last of which ends at its end; ``first`` for the
            first one only, as in training and in the errors of a front. A shorter recording is repeated.
        hop: seconds between the starts of two windows; ``None`` for half a window.
        pooling: ``mean`` for the mean of the windows' scores, ``max_spoof`` for that of the window most like a spoof.
        speech_only: parts without speech are left out first (see `search.scoring.speech`).
    """

    windows: str = "all"
    hop: float | None = None
    pooling: str = "mean"
    speech_only: bool = False

    def __post_init__(self) -> None:
        """Check.

        Raises:
            DropinError: a value that there is not.
        """
        if self.windows not in WINDOWS:
            raise DropinError(f"windows must be one of {', '.join(WINDOWS)}; got {self.windows!r}")
        if self.pooling not in POOLING:
            raise DropinError(f"pooling must be one of {', '.join(POOLING)}; got {self.pooling!r}")
        if self.hop is not None and not (isinstance(self.hop, (int, float)) and LEAST_HOP <= self.hop < math.inf):
            raise DropinError(f"hop must be at least {LEAST_HOP} seconds; got {self.hop!r}")

    def step(self, samples: int) -> int:
        """Samples from the start of a window of so many samples to that of the next.

        Raises:
            DropinError: the hop is longer than the window, so that parts would not be scored.
        """
        if self.hop is None:
            return max(1, samples // 2)
        if (step := round(self.hop * SAMPLE_RATE)) > samples:
            raise DropinError(f"hop must be at most a window, {samples / SAMPLE_RATE:g} seconds; got {self.hop:g}")
        return step

    def windower(self, samples: int) -> AllWindows | FirstWindow:
        """What cuts a waveform into windows of so many samples.

        Raises:
            DropinError: see `step`.
        """
        return FirstWindow(samples) if self.windows == "first" else AllWindows(samples, self.step(samples))

    def pooled(self, scores: Sequence[float]) -> float:
        """One score of those of the windows, of which there is at least one."""
        return POOLING[self.pooling](scores)


class AllWindows:
    """The windows of a waveform that comes in blocks: those of `segment.window_starts`, with all of it in reach.

    It holds less than a window and a block of the waveform.
    """

    def __init__(self, samples: int, step: int) -> None:
        """Windows of `samples` samples, `step` apart (at most `samples`)."""
        self._samples, self._step = samples, step
        self._held = np.zeros(0, np.float32)
        self._offset = 0  # where in the waveform what is held begins
        self._next = 0  # where the next window begins

    def push(self, block: np.ndarray) -> Iterator[Window]:
        """Every window that cannot be the last one."""
        if not len(block):
            return
        self._held = np.concatenate([self._held, block]) if len(self._held) else block
        length = self._offset + len(self._held)
        while (end := self._next + self._samples) < length:
            begin = self._next - self._offset
            yield self._next, end, self._held[begin : begin + self._samples]
            self._next += self._step
        keep = max(0, min(self._next, length - self._samples) - self._offset)
        self._held, self._offset = self._held[keep:], self._offset + keep

    def finish(self) -> Window:
        """The last window, which ends at the end; a waveform shorter than a window is repeated."""
        length = self._offset + len(self._held)
        last = max(0, length - self._samples)
        return last, length, segment(self._held, self._samples, last - self._offset)


class FirstWindow:
    """The first window of a waveform that comes in blocks."""

    def __init__(self, samples: int) -> None:
        """A window of so many samples."""
        self._samples = samples
        self._held = np.zeros(0, np.float32)

    def push(self, block: np.ndarray) -> Iterator[Window]:
        """No window: there is only one."""
        if len(self._held) < self._samples:
            self._held = np.concatenate([self._held, block[: self._samples - len(self._held)]])
        yield from ()

    def finish(self) -> Window:
        """The window; a waveform shorter than it is repeated."""
        return 0, len(self._held), segment(self._held, self._samples)
