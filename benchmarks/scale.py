"""How many workers one driver keeps busy, and what it costs to choose plans while many others are under way.

The real driver over simulated trials (`simulation`, `recorded_trials`): nothing is trained, everything else is what a
search on a cluster does, checkpoints included. Two tables, and where the driver becomes the limit.

1. Driving. From the start of as many trials as there are workers to the start of the last: results a second, the share
   of workers' time in which nothing is trained, the driver's share of the time, its work for a trial; before it, how
   long it takes until all workers train.
2. Staleness. With `--budget` trials in all, each of which tells of its end only, that being all that samplers learn
   from: the weighted EER of the best, which is what they look for, and the hypervolume of the front (EER against size,
   up to those of the base), also against the run with one worker. Best and front are chosen by what trials reported,
   and valued by what their plans are worth without noise. Random choices do not depend on what is known, so random is
   run with the fewest and the most workers only, to see that.

Beyond the driver's limit more workers only wait. What helps: longer epochs, as on a larger corpus; ``--sampler
random``, whose asking is cheap; several searches with seeds of their own, each with some of the workers, of whose
fronts the best is kept. Against staleness helps only a budget of many trials for each worker.

    OMP_NUM_THREADS=1 python benchmarks/scale.py
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from search.cluster import ray_cluster
from timing import table

if TYPE_CHECKING:
    from recorded_trials import Recording
    from search.runs.record import Record

WORKERS = (1, 2, 8, 32, 128, 512, 1000)
STALE = (1, 8, 32, 128, 512, 1000)
SAMPLERS = ("random", "tpe")
SECONDS = {"start": 5.0, "reset": 0.05, "save": 0.05}
"""What a worker takes to start, with its imports; to take the next trial; to write a checkpoint. Others: no time."""
LEAST = 200
LA = 25_380


@dataclass(frozen=True)
class Run:
    """A simulated search.

    Attributes:
        filled: when all workers had begun to train, as far as there are trials for them.
        results: results a second.
        idle: share of workers' time in which nothing was trained.
        share: the driver's share of the time.
        work: seconds of the driver's work for a trial.
        seconds: of an epoch, mean.
        epochs: of a trial, mean; those that are stopped early have fewer.
        best: weighted EER that the best trial's plan is worth.
        volume: hypervolume of the front's plans, as a share of what lies below the base's EER and size.
    """

    filled: float
    results: float
    idle: float
    share: float
    work: float
    seconds: float
    epochs: float
    best: float
    volume: float


def search(workers: int, sampler: str, seed: int, trials: int, *, whole: bool, storage: Path) -> Run:
    """Run one search on so many virtual workers; with `whole`, trials report once, at their end, and save nothing."""
    from recorded_trials import FILE, RecordedTrainable, recording
    from search.display.progress import Display
    from search.running import trials as driver
    from search.runs.trial_log import TrialLog
    from search.settings.command_line import parse
    from simulation import Toll, simulated

    kept = recording(str(FILE))
    options = ["--model", kept.about["model"], "--space", kept.about["space"], "--epochs", str(kept.about["epochs"])]
    options += [f"--model-option={name}={value}" for name, value in kept.about["model_option"].items()]
    options += ["--corpus", "synthetic", "--trials", str(trials), "--sampler", sampler, "--seed", str(seed)]
    settings = parse([*options, "--storage", str(storage), "--name", "run"])
    settings.run_folder.mkdir(parents=True)
    log = TrialLog(settings.run_folder / "trials.jsonl")
    place = ray_cluster.Cluster(1, 0.0, workers, None, None, None)
    job = driver.make_job(settings, Path("base"), Path("features"), place)
    job |= {"recording": str(FILE), "whole": whole}
    toll = Toll.measured(workers, job | {"rows": [0.5] * 200})

    def seconds(method: str, value: Any) -> float:
        return float(value["time_this_iter_s"]) if method == "train" else SECONDS.get(method, 0.0)

    with Path(os.devnull).open("w") as nowhere, simulated(workers, toll, seconds) as core:
        display = Display(Console(file=nowhere), clock=core.clock.now)
        searcher = driver.make_searcher(settings, job, log)
        driver.run_trials(RecordedTrainable, searcher, log, settings, place, display)
    shutil.rmtree(settings.run_folder)
    began = sorted(begin for begin, _, first in core.trained if first)
    window = began[min(workers, trials // 2) - 1], began[-1]
    spent = sum(max(0.0, min(end, window[1]) - max(begin, window[0])) for begin, end, _ in core.trained)
    best, volume = values([one for one in log.records.values() if one.state == "COMPLETE"], kept, job)
    return Run(
        window[0],
        sum(window[0] < end <= window[1] for _, end, _ in core.trained) / (window[1] - window[0]),
        1 - spent / (workers * (window[1] - window[0])),
        core.clock.between(*window) / (window[1] - window[0]),
        core.clock.driver / trials,
        statistics.mean(end - begin for begin, end, _ in core.trained),
        len(core.trained) / trials,
        best,
        volume,
    )


def values(records: Sequence[Record], kept: Recording, job: Mapping[str, Any]) -> tuple[float, float]:
    """`Run.best` and `Run.volume` of a search's trials."""
    from search.runs import pareto

    sizes = np.array([record.size for record in records])
    worth = np.array([kept.outcome(record.plan, job["seed"]).worth for record in records])
    best = int(np.argmin([float(record.weighted_eer or 0) for record in records]))
    chosen = pareto.front(np.column_stack([[record.eer for record in records], sizes]))
    corner = np.array([kept.about["base_eer"], job["size_base"]])
    volume = pareto.hypervolume(np.column_stack([worth, sizes])[chosen], corner) / float(corner.prod())
    return kept.weighted(worth[best], int(sizes[best]), job["size_base"], job["size_weight"]), volume


def driving(options: argparse.Namespace, storage: Path) -> str:
    """The first table, and what it means."""
    rows, works = [], {}
    for sampler in SAMPLERS:
        for workers in options.workers:
            run = search(workers, sampler, 0, max(LEAST, 2 * workers), whole=False, storage=storage)
            cells = [f"{run.filled:.0f}", f"{run.results:.1f}", f"{100 * run.idle:.1f}", f"{100 * run.share:.1f}"]
            rows.append([sampler, workers, *cells, f"{1e3 * run.work:.1f}"])
            print(*rows[-1], file=sys.stderr, flush=True)
            works[sampler] = run
    header = ["sampler", "workers", "all busy after, s", "results/s", "idle, %", "driver, %", "driver, ms a trial"]
    return table(header, rows) + "\n\n" + "\n".join(limit(sampler, run) for sampler, run in works.items())


def limit(sampler: str, run: Run) -> str:
    """What the driver can do at most, from its run with the most workers."""
    from recorded_trials import FILE, recording

    about = recording(str(FILE)).about
    most = 1 / run.work
    results = most * run.epochs
    longer = LA / about["train"]
    return (
        f"With {sampler} the driver's limit is {most:.0f} trials of {run.epochs:.1f} epochs, or {results:.0f} results, "
        f"a second: {results * run.seconds:.0f} workers with epochs of {run.seconds:.1f} s as recorded, "
        f"{results * run.seconds * longer:,.0f} with {longer:.0f} times as long ones, as on LA's train split."
    )


def staleness(options: argparse.Namespace, storage: Path) -> str:
    """The second table."""
    rows = []
    for sampler in SAMPLERS:
        counts = sorted(options.stale)
        counts = [counts[0], counts[-1]] if sampler == "random" else counts
        runs: dict[int, list[Run]] = {workers: [] for workers in counts}
        for seed in range(options.seeds):
            for workers, own in runs.items():
                own.append(search(workers, sampler, seed, options.budget, whole=True, storage=storage))
        alone = runs[counts[0]]
        for workers, own in runs.items():
            relative = [run.volume / first.volume for run, first in zip(own, alone, strict=True)]
            best, volume = [100 * run.best for run in own], [run.volume for run in own]
            rows.append([sampler, workers, spread(best), spread(volume), spread(relative)])
            print(*rows[-1], file=sys.stderr, flush=True)
    header = ["sampler", "workers", "weighted EER of the best, %", "hypervolume", f"relative to {counts[0]} worker"]
    return table(header, rows)


def spread(values: Iterable[float]) -> str:
    """Median and range."""
    own = list(values)
    return f"{statistics.median(own):.3f} ({min(own):.3f} to {max(own):.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--stale", type=int, nargs="+", default=STALE, help="workers of the second table")
    parser.add_argument("--budget", type=int, default=1000, help="trials of a run of the second table")
    parser.add_argument("--seeds", type=int, default=3, help="runs of the second table with other seeds")
    parser.add_argument("--parts", nargs="+", choices=("driving", "staleness"), default=("driving", "staleness"))
    options = parser.parse_args(arguments)
    ray_cluster.prepare(None)
    ray_cluster.init_ray(None, cpus_per_trial=1, gpus_per_trial=0, dashboard=False)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as temporary:
        for part in options.parts:
            print({"driving": driving, "staleness": staleness}[part](options, Path(temporary)), flush=True)
            print()
    ray_cluster.shutdown_ray()


if __name__ == "__main__":
    main()
