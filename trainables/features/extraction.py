"""Features of audio files in the given order and in bounded memory, with several processes where these are faster."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence

import numpy as np

from trainables.features.processes import in_processes
from trainables.features.windows import CHUNK, Extraction, Job

TIMED_FILES = 32
"""Number of first files whose time decides on the number of processes."""
POOL_START_SECONDS = 4.0
"""Work below which starting processes that import torch takes longer than it saves."""


def extract(
    jobs: Sequence[Job], extraction: Extraction, workers: int | None = None
) -> Generator[np.ndarray | str, None, None]:
    """Features of every file in order: ``[windows, *shape]``, or a string with the file's fault.

    Args:
        jobs: audio files, each with the reach of its windows (see `Extraction.windows`).
        extraction: what to compute.
        workers: number of processes; 1 for the calling one; by default the first `TIMED_FILES` are timed, and if the
            rest takes long enough, one process per CPU computes it.

    Raises:
        RuntimeError: a process died.
    """
    if workers is None:
        first = extraction.chunk(jobs[:1])  # not timed: the first call in a process imports and precomputes
        started = time.monotonic()
        first += extraction.chunk(jobs[1:TIMED_FILES])
        seconds = (time.monotonic() - started) / max(1, len(first) - 1)
        yield from first
        jobs = jobs[TIMED_FILES:]
        workers = _worthwhile_workers(seconds * len(jobs))
    if workers == 1 or not jobs:
        for begin in range(0, len(jobs), CHUNK):
            yield from extraction.chunk(jobs[begin : begin + CHUNK])
    else:
        yield from in_processes(extraction.chunks(jobs), extraction, workers)


def _worthwhile_workers(seconds: float) -> int:
    # Not os.cpu_count: a container or taskset may allow fewer.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cpus if seconds > POOL_START_SECONDS else 1
