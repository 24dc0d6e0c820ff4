"""One search from beginning to end: Ray, corpus, base, trials, front, and a confirmation where one is asked for."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from typing import TYPE_CHECKING

from search.cluster import ray_cluster
from search.display.monitor import Monitor
from search.running import interruption
from search.running.connection import connection, wait_for_cluster
from search.running.disk_space import next_step
from search.running.finish import finish, resume_command
from search.running.outcome import Outcome
from search.runs.writer_lock import writer_lock
from search.settings.options import Settings
from search.storage import bucket_sync

if TYPE_CHECKING:
    from search.display.progress import Display
    from search.running.watchdog import Watchdog
    from search.runs.members import StoredRun
    from search.storage.bucket_sync import BucketSync

logger = logging.getLogger(__name__)


def search(settings: Settings, display: Display, watchdog: Watchdog | None = None) -> Outcome:
    """Carry out a search, a new one or one that goes on from what its folder holds.

    Args:
        settings: checked (see `search.settings.start`), not necessarily completed.
        display: shows the progress.
        watchdog: ends this process where Ray is lost.

    Raises:
        DropinError: the search cannot begin: an option of the model, runs of ``--warm-start``, another writer.
    """
    with writer_lock(settings.run_folder):
        monitor = Monitor(settings.paths.monitor) if settings.monitor else None
        if monitor is not None:
            monitor.tell_ray()  # before Ray is imported
        copied = bucket_sync.synced_folder(settings.run_folder, settings.run_uri)
        with copied as sync, connection(settings, watchdog) as starting, monitor or nullcontext():
            outcome = _search(settings.completed(), starting, monitor, sync, display)
        if sync is not None:
            outcome.missing_files = sync.missing_files
    return outcome


def _search(
    settings: Settings,
    starting: Future[ray_cluster.Cluster],
    monitor: Monitor | None,
    sync: BucketSync | None,
    display: Display,
) -> Outcome:
    # Only now: torch, Tune and all that needs them are imported while Ray starts.
    from search.running import confirm_front, preparation
    from search.runs.members import StoredRun
    from search.tuning import warm_start

    earlier = warm_start.open_runs(settings)

    @functools.cache
    def cluster() -> ray_cluster.Cluster:
        """The cluster, as soon as there is one; shown once."""
        found = wait_for_cluster(starting, settings, display)
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
            outcome.interrupted = not outcome.front
            what = "the confirmation was interrupted" if outcome.front else "interrupted before the first trial"
            display.message(f"{what}; what is done is kept. To go on: {resume_command(settings)}")
        except Exception as error:
            outcome.failed(error)
            logger.exception("the run broke off")
            display.message(f"{error}{next_step(error)}\n(more in {settings.paths.log})")
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
        except Exception as error:
            logger.exception("the trials broke off")
            display.message(f"the trials broke off: {error}")
            outcome.failed(error)
        display.trials_finished()
        gauges.finish()
    outcome.front = finish(settings, log, display)
    if outcome.front and settings.confirm:
        interruption.check()  # a signal ended the trials: nothing else is started
