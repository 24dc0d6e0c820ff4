"""Features of the windows of an audio file, or its fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainables import features
from trainables.audio.reading import read_audio
from trainables.errors import DropinError
from trainables.features.segment import segment, window_starts

Job = tuple[Path, int]
"""An audio file, and the reach of its windows in samples."""

CHUNK = 32
CHUNK_BYTES = 2**21


@dataclass(frozen=True)
class Extraction:
    """Settings of the features of every file.

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
        """Data type of a row."""
        dtype: np.dtype = features.load(self.front_end).DTYPE
        return dtype

    @property
    def row_bytes(self) -> int:
        """Size of a row in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def most_windows(self, reach: int) -> int:
        """Largest number of windows of a file."""
        return len(window_starts(reach, self.samples, self.step, reach))

    def prepare(self) -> None:
        """Do the imports and precomputations of the first call in a process."""
        features.load(self.front_end).transform(np.zeros(self.samples, np.float32))

    def windows(self, path: Path, reach: int) -> np.ndarray:
        """Features of a file's windows, ``[windows, *shape]``.

        Args:
            path: the file.
            reach: windows lie in its first `reach` samples; one window if that is the length of a segment.

        Raises:
            DropinError: the audio cannot be read, or its features are not finite.
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

    def windows_or_fault(self, path: Path, reach: int) -> np.ndarray | str:
        """Features of a file's windows, or its fault. Call it with one torch thread: the work is small."""
        try:
            return self.windows(path, reach)
        except ValueError as error:
            return str(error)

    def chunk(self, jobs: Sequence[Job]) -> list[np.ndarray | str]:
        """`windows_or_fault` of each file."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return [self.windows_or_fault(path, reach) for path, reach in jobs]
        finally:
            torch.set_num_threads(before)

    def chunks(self, jobs: Sequence[Job]) -> list[Sequence[Job]]:
        """The files in chunks of at most `CHUNK` files and about `CHUNK_BYTES` of features."""
        max_rows = max(1, CHUNK_BYTES // self.row_bytes)
        chunks: list[Sequence[Job]] = []
        start = rows = 0
        for end, (_, reach) in enumerate(jobs):
            more = self.most_windows(reach)
            if end > start and (rows + more > max_rows or end - start == CHUNK):
                chunks.append(jobs[start:end])
                start, rows = end, 0
            rows += more
        return [*chunks, jobs[start:]] if jobs else chunks
