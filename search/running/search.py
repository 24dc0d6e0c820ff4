"""One search from beginning to end: Ray, corpus, base, trials, front, and a confirmation where one is asked for."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.cluster import ray_cluster
from search.display.monitor import Monitor
from search.settings.options import Settings
from search.storage import bucket_sync

if TYPE_CHECKING:
    from search.display.progress import Display
    from search.runs.members import StoredRun
    from search.storage.bucket_sync import BucketSync

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """How a search ended.

    Attributes:
        front: whether there is a Pareto front.
        error: what it broke off with, if it did; what had ended before is kept, and in the front.
        interrupted: whether it was interrupted before its first trial.
        missing_files: files whose copy in the bucket is not there or not the latest.
    """

    front: bool = False
    error: Exception | None = None
    interrupted: bool = False
    missing_files: tuple[str, ...] = ()


def search(settings: Settings, display: Display | None = None) -> Outcome:
    """Carry out a search, a new one or one that goes on from what its folder holds.

    Args:
        settings: checked (see `search.settings.start`), not necessarily completed.
        display: shows the progress; ``None`` for one on stdout.

    Raises:
        DropinError: the search cannot begin: an option of the model, runs of ``--warm-start``.
    """
    monitor = Monitor(settings.paths.monitor) if settings.monitor else None
    # Before Ray is imported, which reads its environment then.
    ray_cluster.prepare(settings.address)
    if monitor is not None:
        monitor.tell_ray()
    ray = ray_cluster.ray_session(
        settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
    )
    copied = bucket_sync.synced_folder(settings.run_folder, settings.run_uri)
    with copied as sync, ray as starting, monitor or nullcontext():
        outcome = _search(settings.completed(), starting, monitor, sync, display)
    if sync is not None:
        outcome.missing_files = sync.missing_files
    return outcome


def _search(
    settings: Settings,
    starting: Future[ray_cluster.Cluster],
    monitor: Monitor | None,
    sync: BucketSync | None,
    display: Display | None,
) -> Outcome:
    # Only now: torch, Tune and all that needs them are imported while Ray starts.
    from search.display.progress import Display
    from search.running import confirm_front, preparation
    from search.runs.members import StoredRun
    from search.tuning import warm_start

    earlier, display = warm_start.open_runs(settings), display or Display()

    @functools.cache
    def cluster() -> ray_cluster.Cluster:
        """The cluster, as soon as there is one; shown once."""
        found = ray_cluster.wait_for_nodes(
            starting, settings.gpus_per_trial, functools.partial(display.status, "waiting for")
        )
        display.cluster(found)
        if monitor is not None:
            for name, text in monitor.start(found.session, settings.address):
                display.status(name, text)
        return found

    outcome = Outcome()
    with preparation.run_log(settings):
        try:
            display.status("run", settings.run_uri or str(settings.run_folder))
            if settings.address is not None:
                starting.result()  # what a cluster that is there can never carry out is rejected before any work
            _run_trials(settings, earlier, cluster, sync, display, outcome)
            if outcome.front and settings.confirm and outcome.error is None:
                run = StoredRun.open(settings.run_folder)
                with display:
                    rows = confirm_front.confirm(
                        run, settings.confirm, cluster, display, controls=settings.controls, sync=sync
                    )
                confirm_front.show(run, rows, display)
        except KeyboardInterrupt:
            outcome.interrupted = True
            again = settings.run_uri or settings.run_folder
            display.message(f"interrupted before the first trial; go on with --resume {again}")
        except Exception as error:
            outcome.error = error
            logger.exception("the run broke off")
            display.message(f"{error}\n(more in {settings.paths.log})")
    return outcome


def _run_trials(
    settings: Settings,
    earlier: list[StoredRun],
    cluster: Callable[[], ray_cluster.Cluster],
    sync: BucketSync | None,
    display: Display,
    outcome: Outcome,
) -> None:
    """Prepare corpus and base and run the trials; whatever ends them, what has ended makes a front."""
    import spaces
    import trainables
    from search.display.metrics import Gauges
    from search.running import preparation, trials
    from search.runs.trial_log import TrialLog
    from search.tuning import warm_start

    with display:
        log = TrialLog(settings.paths.trials)
        features, card = preparation.prepare_features(settings, display)
        base = preparation.train_base(settings, features, card, cluster, display)
        job = trials.make_job(settings, base, features, cluster())
        searcher = trials.make_searcher(settings, job, log, warm_start.warm_start_trials(settings, earlier))
        gauges = Gauges(settings.full_name, settings.space, settings.model, log.standings, job["size_base"])
        trainable = trainables.load(spaces.load(settings.space).PROCEDURE)
        try:
            trials.run_trials(trainable, searcher, log, settings, cluster(), display, gauges, sync)
        except (Exception, KeyboardInterrupt) as error:
            logger.exception("the trials broke off")
            display.message(f"the trials broke off: {error or 'ended at once'}")
            outcome.error = error if isinstance(error, Exception) else None
        display.trials_finished()
        gauges.finish()
    outcome.front = trials.finish(settings, log, display)
