"""Start or resume a run of pretended trials in a bucket: URI, cache, trials, and ``shared`` or ``unshared`` workers.

Workers that are ``unshared`` have no file system in common with the search, as on a cluster; what they upload
instead of detectors is made up.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pretended
from search.cluster import ray_cluster
from search.display.progress import Display
from search.running import preparation, trials
from search.running.finish import finish
from search.runs.trial_log import TrialLog
from search.settings.command_line import parse
from search.storage import bucket_sync
from search.tuning.feasibility import Feasibility
from search.tuning.searcher import PlanSearch
from trainables.storage.bucket_files import join_uri, write_bytes


class Writing(pretended.Pretended):
    """A pretended trial that leaves a detector where its job says."""

    def setup(self, config: dict[str, Any]) -> None:
        super().setup(config)
        self.place = join_uri(config["job"]["detectors"], str(config["number"]), "card.txt")

    def step(self) -> dict[str, Any]:
        result = super().step()
        if result["done"]:
            write_bytes(b"a detector", self.place)
        return result


def main() -> int:
    uri, cache, count, how = sys.argv[1:]
    options = ["--cache", cache, "--trials", count]
    try:
        settings = parse(["--resume", f"{uri}/one", *options])
    except SystemExit:  # it is new
        settings = parse(["--storage", uri, "--name", "one", *options])
    settings = replace(settings, address="auto" if how == "unshared" else None)
    ray_cluster.prepare(None)
    display = Display()
    with bucket_sync.synced_folder(settings.run_folder, settings.run_uri) as copy, preparation.run_log(settings):
        log = TrialLog(settings.run_folder / "trials.jsonl")
        place = ray_cluster.init_ray(None, cpus_per_trial=os.cpu_count() or 1, gpus_per_trial=0, dashboard=False)
        import ray

        ray.cloudpickle.register_pickle_by_value(pretended)
        assert settings.run_uri is not None
        folder = settings.run_folder / "detectors"
        trace = str(Path(cache) / "trace")
        search = PlanSearch(
            pretended.space,
            job={"detectors": join_uri(settings.run_uri, "detectors") if how == "unshared" else folder.as_uri()},
            journal=settings.run_folder / "study.journal",
            ended=log.records,
            standings=log.standings,
            recipes={"lost": {"x": 0.5, "size": 100, "epochs": 3, "trace": trace}},
            initial_points={},
            check_feasibility=lambda plan: Feasibility(),
            sampler="tpe",
            seed=0,
            startup=3,
        )
        with display:
            trials.run_trials(Writing, search, log, settings, place, display, sync=copy)
        found = finish(settings, log, display)
        ray_cluster.shutdown_ray()
    return int(not found)


if __name__ == "__main__":
    sys.exit(main())
