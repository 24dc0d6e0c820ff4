"""What the feature store costs: building it, mapping it from many trials, waiting for it in training. Three tables.

1. Building. Features of `--utterances` utterances (the size of LA's train split) against a bare loop in as many
   processes as there are CPUs, which decodes and transforms the same files and keeps nothing; its processes are ready
   before its clock starts, while the build's clock includes starting them, writing and closing the file. *busy* is the
   bare loop's time over the build's: the share of all cores' time that went into decoding and transforming. Memory is
   the peak of the proportional set sizes of the building process and its children, looked at every second. *writing*
   is the processor time that this machine takes to put as many bytes into a new file, by one loop that does nothing
   else: virtual machines that give freed memory back to their host pay for every new page.
   Bar: at least 90 % busy, under 1 GB.
2. Sharing. Processes that map the split and read all of it: resident memory of the mapping (proportional set size) in
   one that is alone and, summed, in all that do so at once. Bar: the same.
3. Waiting. What an epoch of `--epoch` utterances, drawn from the whole split, waits for data, by the trainables' own
   clock, on one thread. Bar: under 3 % of the epoch.

The audio is simulated: `--distinct` recordings of 3 to 5 seconds at 16 kHz, each used by several utterances.

    OMP_NUM_THREADS=1 python benchmarks/data.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory import PeakMemory, resident
from timing import table

# The rest is imported where it is used: processes that are spawned import what this file does, and a search's own main
# module imports no more.
if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.features.split import Split

SECONDS = 4.0
PORTION = 32
MIB = 2**20
PAUSE = 5.0
"""Seconds after removing a file until memory is as it was before."""
DETECTORS: dict[str, dict[str, Any]] = {"resnet18": {"width": 16}, "grnn": {}}
SPAWN = multiprocessing.get_context("spawn")


def record(folder: Path, distinct: int) -> list[Path]:
    """Write voice-like recordings: harmonics of a gliding pitch in syllables, with noise 30 dB below."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    paths = []
    for number in range(distinct):
        seconds = np.arange(int(rng.uniform(3, 5) * 16000)) / 16000
        phase = 2 * np.pi * np.cumsum(rng.uniform(90, 250) * (1 + 0.1 * np.sin(3 * seconds))) / 16000
        voice = sum(np.sin(k * phase) / k for k in range(1, 9)) * np.abs(np.sin(2 * np.pi * seconds))
        paths.append(folder / f"{number}.flac")
        audio = 0.1 * voice + 0.003 * rng.standard_normal(len(seconds))
        soundfile.write(paths[-1], audio, 16000, subtype="PCM_16")
    return paths


def corpus_of(paths: Sequence[Path], utterances: int) -> Corpus:
    """A corpus whose train split has this many utterances, the recordings by turns; a tenth is bona fide."""
    from trainables.corpora.corpus import Corpus, Utterance

    train = tuple(
        Utterance(f"T{n}", paths[n % len(paths)], int(n % 10 == 0), f"S{n % 20}", "A01" if n % 10 else "-")
        for n in range(utterances)
    )
    return Corpus("simulated", paths[0].parent, {"train": train, "dev": (), "eval": ()})


def bare_loop(
    front_end: str, paths: Sequence[Path], files: int, taken: Synchronized[int], start: Barrier, ended: Connection
) -> None:
    """Decode and transform portions of `files` files until none is left; keep nothing."""
    import torch

    from trainables import features
    from trainables.audio.reading import SAMPLE_RATE, read_audio
    from trainables.features.segment import samples_in, segment

    torch.set_num_threads(1)
    transform, samples = features.load(front_end).transform, samples_in(SECONDS, SAMPLE_RATE)
    transform(segment(read_audio(paths[0]), samples))
    start.wait()
    while True:
        with taken.get_lock():
            begin = taken.value
            taken.value += PORTION
        if begin >= files:
            break
        for number in range(begin, min(begin + PORTION, files)):
            transform(segment(read_audio(paths[number % len(paths)]), samples))
    ended.send(time.monotonic())


def time_bare_loop(front_end: str, paths: Sequence[Path], files: int) -> float:
    """Seconds from the moment all processes are ready to the end of the last."""
    cpus = len(os.sched_getaffinity(0))
    taken, start = SPAWN.Value("q", 0), SPAWN.Barrier(cpus + 1)
    receiver, sender = SPAWN.Pipe(duplex=False)
    arguments = (front_end, paths, files, taken, start, sender)
    processes = [SPAWN.Process(target=bare_loop, args=arguments) for _ in range(cpus)]
    for process in processes:
        process.start()
    start.wait()
    began = time.monotonic()
    ends = [receiver.recv() for _ in processes]
    for process in processes:
        process.join()
    return max(ends) - began


def time_writing(path: Path, size: int) -> float:
    """Processor seconds to write a file of that many bytes, which is removed."""
    portion = os.urandom(8 * MIB)
    began = time.process_time()
    with path.open("wb", buffering=0) as file:
        for _ in range(round(size / len(portion))):
            file.write(portion)
    passed = time.process_time() - began
    path.unlink()
    return passed


def spread(values: Sequence[float], scale: float = 1.0) -> str:
    """Median and range."""
    low, middle, high = (scale * f(values) for f in (min, statistics.median, max))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def building(corpus: Corpus, paths: Sequence[Path], scratch: Path, repeats: int, names: Sequence[str]) -> str:
    """The first table."""
    from trainables.features import store

    files, rows = len(corpus.splits["train"]), []
    for name in names:
        bare, built, writing, peak = [], [], [], 0.0
        for _ in range(repeats):
            bare.append(time_bare_loop(name, paths, files))
            with PeakMemory() as memory:
                began = time.monotonic()
                folder = store.build(corpus, name, scratch, splits=["train"])
                built.append(time.monotonic() - began)
            size, peak = (folder / "train.arrow").stat().st_size, max(peak, memory.mib)
            shutil.rmtree(folder)
            time.sleep(PAUSE)
            writing.append(time_writing(scratch / "writing", size))
            print(f"{name}: bare {bare[-1]:.1f} s, built {built[-1]:.1f} s", file=sys.stderr, flush=True)
        busy = [one / other for one, other in zip(bare, built, strict=True)]
        rate = f"{files / statistics.median(built):,.0f}"
        cells = [spread(bare), spread(built), spread(busy, 100), rate, f"{peak:,.0f}", f"{size / MIB:,.0f}"]
        rows.append([name, *cells, spread(writing)])
    header = ["front end", "bare loop, s", "built, s", "busy, %", "utterances/s", "peak memory, MiB", "file, MiB"]
    return table([*header, "writing, s of processor time"], rows)


def read_all(folder: Path, together: Barrier, told: Connection) -> None:
    """Open a split, read every row, and say how much memory the mapping then costs."""
    from trainables.features import store

    split = store.open_split(folder, "train")
    for start in range(0, len(split), PORTION):
        split.batch(range(start, min(start + PORTION, len(split))))
    together.wait()  # all have read
    told.send(resident([os.getpid()], "train.arrow"))
    together.wait()  # all have looked


def sharing(folder: Path, trials: int) -> list[str]:
    """A row of the second table: MiB of the file, one process, all together, ratio."""
    sums = {}
    for count in (1, trials):
        receiver, sender = SPAWN.Pipe(duplex=False)
        together = SPAWN.Barrier(count)
        processes = [SPAWN.Process(target=read_all, args=(folder, together, sender)) for _ in range(count)]
        for process in processes:
            process.start()
        sums[count] = sum(receiver.recv() for _ in processes)
        for process in processes:
            process.join()
    size = (folder / "train.arrow").stat().st_size / MIB
    return [*(f"{value:,.0f}" for value in (size, sums[1], sums[trials])), f"{sums[trials] / sums[1]:.3f}"]


class Drawn:
    """Some utterances of a split, drawn at random; for training, as if they were all."""

    def __init__(self, split: Split, count: int) -> None:
        """Draw `count`."""
        import numpy as np

        self._split = split
        self._chosen = np.random.default_rng(0).choice(len(split), count, replace=False)
        self.labels = split.labels[self._chosen]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._chosen)

    def batch(self, indices: Any, rng: Any = None) -> Any:
        """Features of some of them."""
        return self._split.batch(self._chosen[indices], rng)


def waiting(name: str, folder: Path, epoch: int, repeats: int) -> list[str]:
    """A row of the third table: seconds of an epoch, milliseconds of it that were spent waiting, share."""
    import numpy as np
    import torch

    from trainables import models
    from trainables.features import store
    from trainables.models.architecture import Architecture
    from trainables.trial import training
    from trainables.trial.optimizers import build_optimizer

    torch.set_num_threads(1)
    file = models.load(name)
    module = Architecture.create(name, file.resolve(DETECTORS[name])).build()
    optimizer = build_optimizer(list(module.parameters()), file.RECIPE)
    drawn: Any = Drawn(store.open_split(folder, "train"), epoch)
    size, order = file.RECIPE["batch_size"], np.random.default_rng(0)
    loss = training.LOSSES[file.RECIPE["loss"]]
    whole, waited = [], []
    for number in range(repeats + 1):
        cost = training.train_epoch(
            module, drawn, optimizer, loss, batch_size=size, order=order, device=torch.device("cpu")
        )
        if number:  # the first one warms up
            steps = -(-epoch // size)
            whole.append(cost.seconds_step * steps)
            waited.append(cost.seconds_data * steps)
    shares = [one / other for one, other in zip(waited, whole, strict=True)]
    return [spread(whole), spread(waited, 1e3), spread(shares, 100)]


def main() -> None:
    """Make the audio, print the tables, remove everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=25_380)
    parser.add_argument("--distinct", type=int, default=2_538, help="recordings on the disk")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--front-ends", nargs="+", help="default: all")
    parser.add_argument("--trials", type=int, default=8, help="processes that map a split at once")
    parser.add_argument("--epoch", type=int, default=640, help="utterances of an epoch")
    parser.add_argument("--scratch", type=Path, help="folder for up to 4 GB (default: the system's)")
    options = parser.parse_args()
    from trainables import features, models
    from trainables.features import store

    with tempfile.TemporaryDirectory(dir=options.scratch) as temporary:
        scratch = Path(temporary)
        paths = record(scratch, options.distinct)
        corpus = corpus_of(paths, options.utterances)
        names = options.front_ends or features.NAMES
        print(building(corpus, paths, scratch, options.repeats, names), flush=True)
        shared, waited = [], []
        for name in names:
            folder = store.build(corpus, name, scratch, splits=["train"])
            shared.append([name, *sharing(folder, options.trials)])
            for detector in DETECTORS:
                if name == models.load(detector).FRONT_END:
                    waited.append([detector, *waiting(detector, folder, options.epoch, options.repeats)])
            shutil.rmtree(folder)
    together = f"{options.trials} processes together, MiB"
    print("\n" + table(["front end", "file, MiB", "one process, MiB", together, "ratio"], shared))
    print("\n" + table(["detector", f"epoch of {options.epoch}, s", "waiting, ms", "share, %"], waited))


if __name__ == "__main__":
    main()
