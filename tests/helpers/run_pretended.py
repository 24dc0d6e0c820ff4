"""A run of pretended trials as a process of its own, or its rest: the folder of runs, seconds an epoch, trials."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pretended
from search.cluster import ray_cluster
from search.display.progress import Display
from search.running import interruption, preparation, trials
from search.running.finish import finish
from search.runs.trial_log import TrialLog
from search.settings.command_line import parse
from search.tuning.feasibility import Feasibility
from search.tuning.searcher import PlanSearch


def slow(trial: object) -> dict[str, object]:
    return {**pretended.space(trial), "seconds": float(sys.argv[2])}  # type: ignore[arg-type]


def main() -> int:
    runs = Path(sys.argv[1])
    one = runs / "one"
    where = ["--resume", str(one)] if one.exists() else ["--storage", str(runs), "--name", "one", "--cache", str(runs)]
    settings = parse([*where, "--trials", sys.argv[3], "--cpus-per-trial", str(os.cpu_count())])
    ray_cluster.prepare(None)
    display = Display()
    with preparation.run_log(settings):
        log = TrialLog(settings.run_folder / "trials.jsonl")
        place = ray_cluster.init_ray(None, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=0, dashboard=False)
        interruption.install()  # now, since Ray handles SIGTERM where it is started in the main thread
        import ray

        ray.cloudpickle.register_pickle_by_value(pretended)
        search = PlanSearch(
            slow,
            job={},
            journal=settings.run_folder / "study.journal",
            ended=log.records,
            standings=log.standings,
            recipes={"quick": {"x": 0.5, "size": 100, "epochs": 1}},
            initial_points={},
            check_feasibility=lambda plan: Feasibility(),
            sampler="tpe",
            seed=0,
            startup=3,
        )
        with display:
            trials.run_trials(pretended.Pretended, search, log, settings, place, display)
        found = finish(settings, log, display)
        ray_cluster.shutdown_ray()
    return int(not found)


if __name__ == "__main__":
    sys.exit(main())
