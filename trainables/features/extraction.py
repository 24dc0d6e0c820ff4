"""From audio files to feature rows: in the given order, in bounded memory, over processes where they pay."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence

import numpy as np

from trainables.features.processes import in_processes
from trainables.features.windows import CHUNK, Extraction, Job

TIMED = 32
"""Files by whose time it is decided whether processes pay."""
POOL_START_SECONDS = 4.0
"""Less work than that is not worth starting processes that import torch."""


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
