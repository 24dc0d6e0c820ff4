"""Trials that do nothing, run by the real driver, which is looked at whenever one ends.

In a module of its own: Ray reads its environment when it is imported, and `search.cluster.ray_cluster.prepare` must
come before that.
"""

from __future__ import annotations

import os
import random
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from search.cluster import ray_cluster
from search.display.progress import Display
from search.running import trials
from search.running.finish import finish
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings


class Nothing(tune.Trainable):
    """A trial of one epoch that makes its result up from its number."""

    def setup(self, config: dict[str, Any]) -> None:
        """Draw the result."""
        chance = random.Random(config["number"])
        self.eer, self.size = 0.02 + 0.3 * chance.random(), chance.randrange(200_000, 1_500_000)

    def step(self) -> dict[str, Any]:
        """Report it."""
        same = dict.fromkeys(("eer", "best_eer", "weighted_eer", "best_weighted_eer"), self.eer)
        counts = {"size": self.size, "trainable_parameters": self.size, "epoch": 1, "epochs": 1}
        return {**same, **counts, "loss": 0.5, "total_widths": {}, "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self.setup(new_config)
        return True


@dataclass(frozen=True)
class Ended:
    """The driver when a trial ended: seconds on the clock and of CPU, resident MB and the most there ever was."""

    clock: float
    cpu: float
    resident: float
    peak: float


class WatchedLog(TrialLog):
    """A trial log that looks at the driver at first, whenever a trial ends, and when all is over."""

    def __init__(self, path: Path) -> None:
        """Open the log; the first look is now."""
        super().__init__(path)
        self.looks = [look()]

    def append(self, record: Record) -> list[Record]:
        """Write a record and look."""
        beaten = super().append(record)
        self.looks.append(look())
        return beaten


def look() -> Ended:
    """The driver now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Ended(time.perf_counter(), time.process_time(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6, peak / 1e6)


def run_nothing(settings: Settings, base: Path, features: Path) -> WatchedLog:
    """Run trials that do nothing in the run's folder, on a cluster of their own."""
    place = ray_cluster.init_ray(None, cpus_per_trial=1, gpus_per_trial=0, dashboard=False)
    try:
        log = WatchedLog(settings.run_folder / "trials.jsonl")
        searcher = trials.make_searcher(settings, trials.make_job(settings, base, features, place), log)
        with Path(os.devnull).open("w") as nowhere:
            display = Display(Console(file=nowhere))
            trials.run_trials(Nothing, searcher, log, settings, place, display)
            finish(settings, log, display)
            log.looks.append(look())
    finally:
        ray_cluster.shutdown_ray()
    return log
