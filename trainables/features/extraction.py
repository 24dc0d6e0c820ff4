"""From audio files to feature rows: in the given order, in bounded memory, over processes where they pay."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainables import features
from trainables.corpora.audio import read_audio
from trainables.features.segment import segment, window_starts

Job = tuple[Path, int]

CHUNK = 32
CHUNKS_AHEAD = 3
POOL_START_SECONDS = 4.0
"""What starting processes that import torch costs; less work than that is done faster without them."""


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
        rows = np.stack([transform(segment(audio, self.samples, start)) for start in starts])
        if not np.isfinite(rows).all():
            raise ValueError(f"features must be finite; the samples of {path} are too large for that")
        return rows

    def chunk(self, jobs: Sequence[Job]) -> list[np.ndarray | str]:
        """For each file the features of its windows, or what is wrong with it."""
        done: list[np.ndarray | str] = []
        # One thread: a segment is too little work to share, and processes share the files.
        with _one_thread():
            for path, reach in jobs:
                try:
                    done.append(self.windows(path, reach))
                except ValueError as error:
                    done.append(str(error))
        return done


def extract(
    jobs: Sequence[Job], extraction: Extraction, workers: int | None = None
) -> Generator[np.ndarray | str, None, None]:
    """Features of every file in order: ``[windows, *shape]``, or a string that says what is wrong with the file.

    Args:
        jobs: audio files, each with the reach of its windows (see `Extraction.windows`).
        extraction: what to compute.
        workers: processes; 1 works in this one; by default a first chunk is timed here, and where a process per CPU
            ends the rest sooner, its start included, processes do it.

    Raises:
        RuntimeError: a process died.
    """
    chunks = [jobs[begin : begin + CHUNK] for begin in range(0, len(jobs), CHUNK)]
    if workers is None and chunks:
        yield from extraction.chunk(chunks[0][:1])  # the first call in a process imports and prepares; not timed
        began = time.monotonic()
        yield from extraction.chunk(chunks[0][1:])
        chunks = chunks[1:]
        workers = _worthwhile_workers((time.monotonic() - began) * len(chunks))
    if workers is None or workers == 1:
        for chunk in chunks:
            yield from extraction.chunk(chunk)
    else:
        yield from _in_processes(chunks, extraction, workers)


def _worthwhile_workers(seconds: float) -> int:
    # Not os.cpu_count: a container or taskset may leave fewer.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cpus if seconds > POOL_START_SECONDS + seconds / cpus else 1


def _in_processes(
    chunks: Sequence[Sequence[Job]], extraction: Extraction, workers: int
) -> Generator[np.ndarray | str, None, None]:
    # Spawned, not forked: a fork of a process with threads (torch's, Ray's, a progress bar's) may hang.
    pool = ProcessPoolExecutor(min(workers, len(chunks)), multiprocessing.get_context("spawn"))
    waiting: deque[Future[list[np.ndarray | str]]] = deque()
    others = set(multiprocessing.active_children())
    try:
        for chunk in chunks:
            with _interrupts_ignored():
                waiting.append(pool.submit(extraction.chunk, chunk))
            if len(waiting) > CHUNKS_AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process that computes features died: not enough memory, or the script that was started lacks its "
            'guard `if __name__ == "__main__":`; with workers=1 no processes are needed'
        ) from error
    finally:
        if waiting:  # left early: nobody waits for what is under way, perhaps still an import of seconds
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C: it reaches all of a terminal's, and this one decides what it means."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
