"""The trials of a run: the searcher, the job that all trials share, the Tune experiment, and how it ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

import spaces
from search.cluster import ray_cluster
from search.cluster.ray_cluster import Cluster
from search.display.metrics import Gauges
from search.display.progress import Display
from search.running import interruption, remote_training
from search.running.disk_space import DiskSpace
from search.running.tune_callback import StopConditions, TuneCallback
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.storage.bucket_sync import BucketSync
from search.tuning.feasibility import check_feasibility
from search.tuning.scheduler import HalvingScheduler
from search.tuning.searcher import PlanSearch
from search.tuning.space_check import search_space, space_arguments
from search.tuning.trial_names import trial_name
from search.tuning.warm_start import WarmStartTrial
from spaces import recipes
from spaces.recipes import is_recipe
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.storage import bucket_files
from trainables.storage.run_paths import RunPaths

logger = logging.getLogger(__name__)
RETRIES = 2
"""How often Tune retries a trial that raised, or whose worker was lost."""
NO_LIMIT = 1_000_000
"""Trials, since Tune wants a number. The searcher says when there are enough: Tune counts rescheduled ones twice."""


def make_searcher(
    settings: Settings,
    job: Mapping[str, Any],
    log: TrialLog,
    warm_start: Sequence[WarmStartTrial] = (),
    plans: Mapping[str, dict[str, Any]] | None = None,
) -> PlanSearch:
    """The searcher: the space, its recipes and initial points, what is infeasible, and trials of earlier runs.

    Args:
        settings: of the run.
        job: what is the same for all trials.
        log: the trials that ended.
        warm_start: trials of other runs to learn from.
        plans: plans to try instead of recipes and initial points, by name; none is rejected for what others reached.
    """
    arch = Architecture.create(settings.model, settings.model_option)
    sites, budget = space_arguments(settings)
    initial_points = recipes.initial_points(settings.space, sites, budget) if plans is None else {}
    rivals = log.records if plans is None else None
    return PlanSearch(
        search_space(settings),
        job=job,
        journal=settings.paths.study,
        ended=log.records,
        standings=log.standings,
        recipes=recipes.recipes(settings.space, settings.model, sites, budget) if plans is None else plans,
        initial_points={name: point.parameters for name, point in initial_points.items()},
        check_feasibility=partial(check_feasibility, arch=arch, max_parameters=settings.max_parameters, ended=rivals),
        sampler=settings.sampler,
        seed=settings.seed,
        startup=startup_trials(settings.trials),
        objective=settings.objective,
        warm_start=warm_start,
        prunings=partial(prunings, settings.space, settings.prunings_per_growth),
        name=partial(trial_name, arch=arch),
    )


def prunings(space: str, count: int, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Up to `count` - 1 other pruning configurations for the growth of a point, as points of the space."""
    found: list[dict[str, Any]] = spaces.load(space).prunings(parameters)
    return found[: count - 1]


def make_job(settings: Settings, base: Path, features: Path, cluster: Cluster) -> dict[str, Any]:
    """What every trial of the run is given beside its plan."""
    return {
        "base": remote_training.upload_base(settings, base),
        "features": remote_training.upload_features(settings, features),
        "storage": settings.run_uri if settings.no_shared_filesystem else None,
        "cache": str(settings.cache),
        "activations": str(settings.activations),
        "activations_limit": settings.activations_limit,
        "run_folder": str(settings.run_folder),
        "size_weight": settings.size_weight,
        "size_base": Architecture.create(settings.model, settings.model_option).size(),
        "seed": settings.seed,
        "random_crop": settings.random_crop,
        "precision": settings.precision,
        "prunings_per_growth": settings.prunings_per_growth,
        "growth_cache_limit": int(settings.growth_cache_gb * 1e9),
        "threads": cluster.cpus,
        "gpu": cluster.gpus > 0,
    }


def scheduler(settings: Settings, searcher: PlanSearch) -> TrialScheduler:
    """Early stopping: none, or successive halving by the objectives of the searcher."""
    if settings.stopping == "none":
        return FIFOScheduler()
    return HalvingScheduler(searcher.objectives, settings.paths.rungs)


def startup_trials(trials: int | None) -> int:
    """How many trials the sampler draws at random before it learns: a quarter of them, between 2 and 10."""
    return 10 if trials is None else min(10, max(2, trials // 4))


def run_trials(
    trainable: type[tune.Trainable],
    searcher: PlanSearch,
    log: TrialLog,
    settings: Settings,
    cluster: Cluster,
    display: Display,
    gauges: Gauges | None = None,
    sync: BucketSync | None = None,
) -> None:
    """Run trials until there are enough, the time limit is reached, or a signal stops the search.

    Every ended trial is in `log`; those that are running when the search stops are not, and a resumed run retries them.
    """
    if searcher.repaired:
        display.message(searcher.repaired)
    if sync is not None:
        fetch_detectors(sync, log)
    searcher.max_trials = None if settings.trials is None else settings.trials - len(log.records)
    if searcher.max_trials is not None and searcher.max_trials <= 0:
        display.message(f"all {settings.trials} trials have ended; raise --trials for more")
        return
    # Checkpoints of trials that were running when an earlier process ended; they start again from the base.
    shutil.rmtree(settings.paths.tune, ignore_errors=True)
    limits = StopConditions(settings.minutes)
    elsewhere = sync if settings.no_shared_filesystem else None
    state: dict[str, Any] = {"storage_path": str(settings.run_folder)}
    if elsewhere is not None and settings.run_uri is not None:
        bucket_files.delete(bucket_files.join_uri(settings.run_uri, settings.paths.tune.name))
        state["storage_filesystem"], state["storage_path"] = bucket_files.open_filesystem(settings.run_uri)
    stopping = scheduler(settings, searcher)
    files = [log.file, searcher.file, *([stopping.file] if isinstance(stopping, HalvingScheduler) else [])]
    space = DiskSpace(settings, display, files, cluster.concurrent * folder_bytes(settings.paths.base))
    tuner = tune.Tuner(
        with_resources(trainable, cluster),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=stopping,
            num_samples=NO_LIMIT,
            max_concurrent_trials=cluster.concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.config["name"]),
            trial_dirname_creator=lambda trial: str(trial.config["number"]),
        ),
        run_config=tune.RunConfig(
            name=settings.paths.tune.name,
            **state,
            callbacks=[TuneCallback(log, display, limits, gauges, elsewhere, searcher.reschedule, space)],
            stop=limits,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            # Trials request checkpoints themselves, by time; the callback removes all but the latest.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    for name, reason in searcher.skipped_recipes.items():
        logger.warning("recipe %s is skipped: %s", name, reason)
        display.message(f"recipe {name} is skipped: {reason}")
    display.start_trials(settings.trials, log.standings, limits.deadline)
    searcher.has_room = space.has_room

    with interruption.deferred():
        tuner.fit()
    space.flush()
    if (unwritten := space.unwritten()) is not None:
        raise DropinError(unwritten)
    if elsewhere is not None:
        elsewhere.flush()
    if searcher.exhausted:
        display.message(searcher.exhausted)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*")) if folder.is_dir() else 0


def fetch_detectors(sync: BucketSync, log: TrialLog) -> None:
    """Download detectors of the front and of recipes that a search which was killed had not downloaded yet."""
    records = [record for record in log.records.values() if record.state == "COMPLETE"]
    shown = [*log.standings.front, *(record for record in records if is_recipe(record.recipe))]
    folders = {RunPaths(log.path.parent).detector(record.number) for record in shown}
    missing = sorted(folder for folder in folders if not folder.exists())
    for folder in missing:
        sync.fetch(folder)
    if missing:
        sync.flush()


def with_resources(trainable: type[tune.Trainable], cluster: Cluster) -> type[tune.Trainable]:
    """The trainable, asking for a trial's CPUs and GPUs. Ray's own function of this name would rename the actors."""

    def request(cls: type[tune.Trainable], config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        return ray_cluster.resource_request(cluster.cpus, cluster.gpus)

    extra = {"default_resource_request": classmethod(request), "__module__": trainable.__module__}
    return type(trainable.__name__, (trainable,), extra)
