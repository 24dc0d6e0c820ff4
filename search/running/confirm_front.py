"""A front confirmed: its members are trained anew with fresh seeds, base included, and their controls beside them.

Everything that a member of the front came from is done again: base, growth, order of training.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import spaces
import trainables
from search.cluster.ray_cluster import Cluster
from search.display.metrics import Gauges
from search.display.progress import Display
from search.display.terminal import cell
from search.running import interruption, preparation, trials
from search.running.confirmation import BASE, Candidate, Seed, Train, candidates, score
from search.running.confirmation_table import Row, write
from search.running.connection import connection, wait_for_cluster
from search.running.outcome import Outcome
from search.running.watchdog import Watchdog
from search.runs.members import StoredRun
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.runs.writer_lock import writer_lock
from search.settings.options import Settings
from search.storage import bucket_sync
from search.storage.bucket_sync import BucketSync
from trainables.storage import bucket_files

logger = logging.getLogger(__name__)


def confirm_run(
    run: StoredRun, seeds: int, display: Display, watchdog: Watchdog | None = None, *, controls: bool
) -> Outcome:
    """Confirm the front of a run that is over: start or join Ray, train, score, and show the table.

    Args:
        run: a run with a front.
        seeds: how many fresh seeds.
        display: told how far it is.
        watchdog: ends this process where Ray is lost.
        controls: train what members are compared with as well.

    Raises:
        DropinError: no front, another corpus than the run's, or another process confirms this run.
    """
    settings, outcome = run.settings, Outcome()
    candidates(run, controls=controls)  # so that a run without a front is rejected before anything starts
    folder = run.paths.confirmation
    copied = None if settings.run_uri is None else bucket_files.join_uri(settings.run_uri, folder.name)
    with bucket_sync.synced_folder(folder, copied) as sync, connection(settings, watchdog) as starting:
        cluster = functools.cache(functools.partial(wait_for_cluster, starting, settings, display))
        try:
            with display:
                rows = confirm(run, seeds, cluster, display, controls=controls, sync=sync)
            show(run, rows, display)
            outcome.front = True
        except KeyboardInterrupt:
            outcome.interrupted = True
            display.message("interrupted; what is done is kept, and the same command goes on")
        except Exception as error:
            outcome.failed(error)
            display.message(f"{error}\n(what is done is kept, and the same command goes on)")
    outcome.missing_files = () if sync is None else sync.missing_files
    return outcome


def confirm(
    run: StoredRun,
    seeds: int,
    cluster: Callable[[], Cluster],
    display: Display,
    *,
    controls: bool,
    sync: BucketSync | None = None,
) -> list[Row]:
    """Train the front's members anew with seeds that follow the run's, and score them on dev and eval.

    What an earlier call has finished in the run's folder is kept; it is known by the trial's plan and the seed, so a
    front that has changed since is no matter. While trials of a seed run, gauges of them are published as of a run
    ``NAME/confirm/seed-SEED``.

    Args:
        run: a run with a front.
        seeds: how many fresh seeds.
        cluster: the Ray cluster, asked for once something has to be trained.
        display: told how far it is.
        controls: train what members are compared with as well.
        sync: what makes the copy of the folder follow it, if there is one.

    Raises:
        DropinError: no front, another corpus than the run's, or another process confirms this run.
        KeyboardInterrupt: a signal asked for the end.
    """
    wanted = candidates(run, controls=controls)
    rows = [*(Row(one.name, one.what, one.key) for one in wanted), Row(BASE, BASE, BASE)]
    with writer_lock(run.paths.confirmation):
        for seed in range(run.settings.seed + 1, run.settings.seed + 1 + seeds):
            own = settings_of_seed(run, seed)
            with preparation.run_log(own):
                try:
                    base, records = _train_seed(own, wanted, cluster, display, sync)
                    score(run, own, base, records, rows, display)
                except Exception:
                    logger.exception("the confirmation broke off")  # now, while there is a log
                    raise
    return rows


def settings_of_seed(run: StoredRun, seed: int) -> Settings:
    """The settings by which one seed of a confirmation is a run within the run's folder."""
    where: dict[str, Any] = {}
    if run.settings.run_folder != run.folder:  # it was moved
        where = {"storage": run.folder.parent, "name": run.folder.name}
    return replace(
        run.settings,
        **where,
        part=run.paths.of_seed(seed).folder.relative_to(run.folder).as_posix(),
        seed=seed,
        minutes=None,
        max_parameters=None,
        stopping="none",
        prunings_per_growth=1,
        warm_start=(),
    )


def _train_seed(
    own: Settings,
    wanted: Sequence[Candidate],
    cluster: Callable[[], Cluster],
    display: Display,
    sync: BucketSync | None,
) -> tuple[Path, dict[str | None, Record]]:
    """Train base, members and controls with one seed; the base's folder, and the trials by the keys of candidates."""
    plans = {one.key: dict(one.plan) for one in wanted if one.plan is not None}
    features, card = preparation.prepare_features(own, display)
    base = preparation.train_base(own, features, card, cluster, display)
    log = TrialLog(own.paths.trials)
    ended = {record.recipe for record in log.records.values()}
    if missing := set(plans) - ended:
        # Trials of an earlier front are in the log as well, and count.
        own = replace(own, trials=len(log.records) + len(missing))
        _run_trials(own, plans, base, features, log, cluster(), display, sync)
    interruption.check()
    trains = [one.train for one in wanted if one.train is not None]
    seed = Seed(own, base, features, cluster())
    pool = ThreadPoolExecutor(cluster().concurrent)
    try:
        for done in pool.map(lambda train: _carry_out(train, seed), trains):
            display.message(done)
    finally:
        # At a signal nobody waits for those that are being trained: they end with Ray.
        pool.shutdown(wait=False, cancel_futures=True)
    return base, {record.recipe: record for record in log.records.values()}


def _run_trials(
    own: Settings,
    plans: dict[str, dict[str, Any]],
    base: Path,
    features: Path,
    log: TrialLog,
    cluster: Cluster,
    display: Display,
    sync: BucketSync | None,
) -> None:
    job = trials.make_job(own, base, features, cluster)
    searcher = trials.make_searcher(own, job, log, plans=plans)
    gauges = Gauges(own.full_name, own.space, own.model, log.standings, job["size_base"])
    trainable = trainables.load(spaces.load(own.space).PROCEDURE)
    trials.run_trials(trainable, searcher, log, own, cluster, display, gauges, sync)
    gauges.finish()


def _carry_out(train: Train, seed: Seed) -> str:
    try:
        return train(seed)
    except (ValueError, RuntimeError) as error:  # one of many, and only there to compare with
        logger.exception("left out")
        return f"left out: {error}"


def show(run: StoredRun, rows: Sequence[Row], display: Display) -> None:
    """Write the table into the run's folder and print it."""
    table = Table("detector", "parameters", "dev EER", "eval EER", "seeds", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(cell, row.cells()))
    display.show(table)
    display.message(f"median (lowest to highest): {write(run.paths.confirmation_table, rows)}")
