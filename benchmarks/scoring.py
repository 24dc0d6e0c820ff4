"""What scoring many files costs, against decoding and transforming them alone. Two tables.

1. Speed. `search.scoring` scores `--files` recordings of 3 to 5 seconds, all windows of each, with as many processes
   as it takes by itself; a bare loop in as many processes as there are CPUs decodes the same files, transforms the same
   windows and keeps nothing. Both in turn, both clocks from the call to the last result, with the start of processes;
   *ready* is the bare loop's time from the moment that its processes are ready, and the ratio of processor time that of
   all processes, which others on the machine disturb less. Bar: at least 85 % of the bare loop's
   speed for a detector of the size that fronts begin with.
2. Memory. The peak of the proportional set sizes of all processes, looked at every second, for a tenth of the files and
   for all, with as many processes as there are CPUs; and of one process for a recording of a minute and of an hour.
   Bar: the same.

The audio is simulated: `--distinct` recordings, each of which is scored several times.

    OMP_NUM_THREADS=1 python benchmarks/scoring.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import PORTION, record
from memory import PeakMemory, resident
from timing import table

# The rest is imported where it is used: processes that are spawned import what this file does.
if TYPE_CHECKING:
    from search.scoring.scorer import Scorer

SECONDS = 4.0
RATE = 16_000
DETECTORS: dict[str, tuple[str, dict[str, Any], str]] = {
    "resnet18 of width 4": ("resnet18", {"width": 4}, "log_mel"),
    "resnet18 of width 16": ("resnet18", {"width": 16}, "log_mel"),
    "grnn": ("grnn", {}, "lfcc"),
}
SPAWN = multiprocessing.get_context("spawn")


def scorer(name: str) -> Scorer:
    """An untrained detector."""
    from search.scoring.scorer import Scorer
    from trainables.models.architecture import Architecture
    from trainables.storage.checkpoint import Detector

    model, options, front_end = DETECTORS[name]
    arch = Architecture.create(model, options)
    card = {"front_end": front_end, "seconds": SECONDS, "threshold": 0.0}
    return Scorer(Detector(arch, arch.build().eval(), card))


def bare_loop(
    front_end: str, paths: Sequence[Path], taken: Synchronized[int], start: Barrier, ended: Connection
) -> None:
    """Decode files and transform all their windows, a portion at a time, until none is left; keep nothing."""
    import torch

    from trainables.audio.reading import read_audio
    from trainables.features.segment import samples_in
    from trainables.features.windows import Extraction

    torch.set_num_threads(1)
    samples = samples_in(SECONDS, RATE)
    extraction = Extraction(front_end, samples, samples // 2)
    extraction.prepare()
    start.wait()
    while True:
        with taken.get_lock():
            begin = taken.value
            taken.value += PORTION
        if begin >= len(paths):
            break
        for path in paths[begin : begin + PORTION]:
            audio = read_audio(path)
            extraction.rows(audio, len(audio))
    ended.send(time.monotonic())


def time_bare_loop(front_end: str, paths: Sequence[Path]) -> tuple[float, float]:
    """Seconds from the call, and from the moment all processes are ready, to the end of the last."""
    cpus = len(os.sched_getaffinity(0))
    taken, start = SPAWN.Value("q", 0), SPAWN.Barrier(cpus + 1)
    receiver, sender = SPAWN.Pipe(duplex=False)
    called = time.monotonic()
    processes = [SPAWN.Process(target=bare_loop, args=(front_end, paths, taken, start, sender)) for _ in range(cpus)]
    for process in processes:
        process.start()
    start.wait()
    ready = time.monotonic()
    end = max(receiver.recv() for _ in processes)
    for process in processes:
        process.join()
    return end - called, end - ready


def time_scoring(name: str, paths: Sequence[Path]) -> float:
    """Seconds from the call to the last result."""
    from search.scoring.together import score_files

    one = scorer(name)
    began = time.monotonic()
    errors = [found.error for found in score_files(one, paths) if found.error is not None]
    assert not errors, errors
    return time.monotonic() - began


def processor_seconds() -> float:
    """What this process and its children that have ended took of processors."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def speed(name: str, paths: Sequence[Path], repeats: int) -> list[object]:
    """A row of the first table: medians, and the median and range of ratios within a repetition."""
    bare, ready, ours, worked = [], [], [], []
    for _ in range(repeats):
        before = processor_seconds()
        both = time_bare_loop(DETECTORS[name][2], paths)
        between = processor_seconds()
        bare.append(both[0])
        ready.append(both[1])
        ours.append(time_scoring(name, paths))
        worked.append((between - before) / (processor_seconds() - between))
    files = [len(paths) / statistics.median(seconds) for seconds in (ours, bare, ready)]
    ratios = [[one / mine for one, mine in zip(peer, ours, strict=True)] for peer in (bare, ready)] + [worked]
    shown = [f"{statistics.median(some):.3f} ({min(some):.3f} to {max(some):.3f})" for some in ratios]
    return [name, *(f"{rate:,.0f}" for rate in files), *shown]


def peak(name: str, paths: Sequence[Path], workers: int) -> str:
    """MiB at most, of a process of its own and its children."""
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=score_watched, args=(name, paths, workers, sender))
    process.start()
    found = receiver.recv()
    process.join()
    return f"{found:,.0f}"


def score_watched(name: str, paths: Sequence[Path], workers: int, sender: Connection) -> None:
    """Score files and send the peak of memory."""
    from search.scoring.together import score_files

    with PeakMemory() as memory:
        deque(score_files(scorer(name), paths, workers=workers), maxlen=0)
    sender.send(max(memory.mib, resident([os.getpid()])))  # a second may not have passed


def long_recording(folder: Path, minutes: int) -> Path:
    """Noise of so many minutes, stereo at 44.1 kHz."""
    import numpy as np
    import soundfile

    path = folder / f"{minutes}.flac"
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", 44_100, 2, "PCM_16") as file:
        for _ in range(minutes):
            file.write(0.1 * rng.standard_normal((60 * 44_100, 2)))
    return path


def main() -> None:
    """Make the audio, print the tables, remove everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--distinct", type=int, default=1000, help="recordings on the disk")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--scratch", type=Path, help="folder for up to 1 GB (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as temporary:
        distinct = record(Path(temporary), min(options.distinct, options.files))
        paths = [distinct[number % len(distinct)] for number in range(options.files)]
        head = [
            "detector",
            "files/s",
            "bare loop",
            "bare loop, ready",
            "ratio",
            "ratio to ready",
            "ratio of processor time",
        ]
        print(table(head, [speed(name, paths, options.repeats) for name in options.detectors]), flush=True)
        name = options.detectors[0]
        cpus = len(os.sched_getaffinity(0))
        parts = (len(paths) // 10, len(paths))
        rows = [[f"{number:,} files, {cpus} processes", peak(name, paths[:number], cpus)] for number in parts]
        for minutes in (1, 60):
            path = long_recording(Path(temporary), minutes)
            rows.append([f"one recording of {minutes} min", peak(name, [path], 1)])
        print("\n" + table(["scored", "MiB at most"], rows))


if __name__ == "__main__":
    main()
