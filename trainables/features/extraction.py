"""From audio files to feature rows: in the given order, in bounded memory, over processes where they pay."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainables import features
from trainables.corpora.audio import read_audio
from trainables.features.processes import in_processes
from trainables.features.segment import segment, window_starts

Job = tuple[Path, int]

CHUNK = 32
CHUNK_BYTES = 2**21
TIMED = 32
"""Files by whose time it is decided whether processes pay."""
POOL_START_SECONDS = 4.0
"""Less work than that is not worth starting processes that import torch."""


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
            ValueError: the audio cannot be used.
        """
        audio = read_audio(path)
        transform = features.load(self.front_end).transform
        starts = window_starts(len(audio), self.samples, self.step, reach)
        found = [transform(segment(audio, self.samples, start)) for start in starts]
        rows = np.stack(found) if len(found) > 1 else found[0][None]
        if not np.isfinite(rows).all():
            raise ValueError(f"features must be finite; the samples of {path} are too large for that")
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


def extract(
    jobs: Sequence[Job], extraction: Extraction, workers: int | None = None
) -> Generator[np.ndarray | str, None, None]:
    """Features of every file in order: ``[windows, *shape]``, or a string that says what is wrong with the file.

    Args:
        jobs: audio files, each with the reach of its windows (see `Extraction.windows`).
        extraction: what to compute.
        workers: processes; 1 works in this one; by default some first files are timed here, and where the rest is
            worth it, a process per CPU does it.

    Raises:
        RuntimeError: a process died.
    """
    if workers is None:
        first = extraction.chunk(jobs[:1])  # the first call in a process imports and prepares; not timed
        began = time.monotonic()
        first += extraction.chunk(jobs[1:TIMED])
        seconds = (time.monotonic() - began) / max(1, len(first) - 1)
        yield from first
        jobs = jobs[TIMED:]
        workers = _worthwhile_workers(seconds * len(jobs))
    if workers == 1 or not jobs:
        for begin in range(0, len(jobs), CHUNK):
            yield from extraction.chunk(jobs[begin : begin + CHUNK])
    else:
        yield from in_processes(extraction.chunks(jobs), extraction, workers)


def _worthwhile_workers(seconds: float) -> int:
    # Not os.cpu_count: a container or taskset may leave fewer.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cpus if seconds > POOL_START_SECONDS else 1
