"""What is computed of every audio file: the features of its windows, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainables import features
from trainables.corpora.audio import read_audio
from trainables.errors import DropinError
from trainables.features.segment import segment, window_starts

Job = tuple[Path, int]
"""A file, and the reach of its windows."""

CHUNK = 32
CHUNK_BYTES = 2**21


@dataclass(frozen=True)
class Extraction:
    """What is computed of every file.

    Attributes:
        front_end: a name of ``trainables.features.NAMES``.
        samples: length of a segment.
        step: samples between the windows of a long utterance.
    """

    front_end: str
    samples: int
    step: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row."""
        shape: tuple[int, ...] = features.load(self.front_end).shape(self.samples)
        return shape

    @property
    def dtype(self) -> np.dtype:
        """Type of a row."""
        dtype: np.dtype = features.load(self.front_end).DTYPE
        return dtype

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def most_windows(self, reach: int) -> int:
        """How many windows a file has at most."""
        return len(window_starts(reach, self.samples, self.step, reach))

    def prepare(self) -> None:
        """Import and compute what the first call in a process would."""
        features.load(self.front_end).transform(np.zeros(self.samples, np.float32))

    def windows(self, path: Path, reach: int) -> np.ndarray:
        """Features of a file's windows, ``[windows, *shape]``.

        Args:
            path: the file.
            reach: windows lie in its first `reach` samples; with those of one segment there is one window.

        Raises:
            DropinError: the audio cannot be used.
        """
        return self.rows(read_audio(path), reach, str(path))

    def rows(self, audio: np.ndarray, reach: int, name: str = "the waveform") -> np.ndarray:
        """Features of the windows of audio, ``[windows, *shape]``.

        Args:
            audio: float32 ``[samples]`` at 16 kHz.
            reach: see `windows`.
            name: what errors call it.

        Raises:
            DropinError: features are not finite.
        """
        transform = features.load(self.front_end).transform
        starts = window_starts(len(audio), self.samples, self.step, reach)
        found = [transform(segment(audio, self.samples, start)) for start in starts]
        rows = np.stack(found) if len(found) > 1 else found[0][None]
        if not np.isfinite(rows).all():
            raise DropinError(f"features must be finite; the samples of {name} are too large for that")
        return rows

    def attempt(self, path: Path, reach: int) -> np.ndarray | str:
        """Features of a file's windows, or what is wrong with it. To be called on one thread: it is little work."""
        try:
            return self.windows(path, reach)
        except ValueError as error:
            return str(error)

    def chunk(self, jobs: Sequence[Job]) -> list[np.ndarray | str]:
        """What `attempt` finds of each file."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return [self.attempt(path, reach) for path, reach in jobs]
        finally:
            torch.set_num_threads(before)

    def chunks(self, jobs: Sequence[Job]) -> list[Sequence[Job]]:
        """The files in portions of at most `CHUNK` files and about `CHUNK_BYTES` of features."""
        rows = max(1, CHUNK_BYTES // self.row_bytes)
        found: list[Sequence[Job]] = []
        begin = held = 0
        for end, (_, reach) in enumerate(jobs):
            more = self.most_windows(reach)
            if end > begin and (held + more > rows or end - begin == CHUNK):
                found.append(jobs[begin:end])
                begin, held = end, 0
            held += more
        return [*found, jobs[begin:]] if jobs else found
