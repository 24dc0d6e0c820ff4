"""A front confirmed: its members are trained anew with fresh seeds, base included, and their controls beside them.

Everything that a member of the front came from is done again: base, growth, order of training.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import spaces
import trainables
from search.cluster import ray_cluster
from search.cluster.ray_cluster import Cluster
from search.display.metrics import Gauges
from search.display.progress import Display
from search.display.terminal import cell
from search.running import preparation, trials
from search.running.confirmation import Candidate, Row, candidates, score, write
from search.runs.members import StoredRun
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.storage import bucket_sync
from search.storage.bucket_sync import BucketSync
from trainables.storage import bucket_files

logger = logging.getLogger(__name__)


def confirm_run(run: StoredRun, seeds: int, display: Display, *, controls: bool) -> list[Row]:
    """Confirm the front of a run that is over: start or join Ray, train, score, and show the table.

    Args:
        run: a run with a front.
        seeds: how many fresh seeds.
        display: told how far it is.
        controls: train what members are compared with as well.

    Raises:
        DropinError: no front, or another corpus than the run's.
    """
    settings = run.settings
    ray_cluster.prepare(settings.address)
    folder = run.paths.confirmation
    copied = None if settings.run_uri is None else bucket_files.join_uri(settings.run_uri, folder.name)
    ray = ray_cluster.ray_session(
        settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
    )
    with bucket_sync.synced_folder(folder, copied) as sync, ray as starting:

        @functools.cache
        def cluster() -> Cluster:
            waiting = functools.partial(display.status, "waiting for")
            found = ray_cluster.wait_for_nodes(starting, settings.gpus_per_trial, waiting)
            display.cluster(found)
            return found

        with display:
            rows = confirm(run, seeds, cluster, display, controls=controls, sync=sync)
        show(run, rows, display)
    return rows


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

    What an earlier call has finished in the run's folder is kept. While trials of a seed run, gauges of them are
    published as of a run ``NAME/confirm/seed-SEED``.

    Args:
        run: a run with a front.
        seeds: how many fresh seeds.
        cluster: the Ray cluster, asked for once something has to be trained.
        display: told how far it is.
        controls: train what members are compared with as well.
        sync: what makes the copy of the folder follow it, if there is one.

    Raises:
        DropinError: no front, or another corpus than the run's.
    """
    wanted = candidates(run, controls=controls)
    rows = {name: Row(name, one.what) for name, one in wanted.items()}
    for seed in range(run.settings.seed + 1, run.settings.seed + 1 + seeds):
        own = settings_of_seed(run, seed, sum(one.plan is not None for one in wanted.values()))
        with preparation.run_log(own):
            base, records = _train_seed(own, wanted, cluster, display, sync)
            score(run, own, base, records, rows, display)
    return list(rows.values())


def settings_of_seed(run: StoredRun, seed: int, trials: int) -> Settings:
    """The settings by which one seed of a confirmation is a run within the run's folder."""
    where: dict[str, Any] = {}
    if run.settings.run_folder != run.folder:  # it was moved
        where = {"storage": run.folder.parent, "name": run.folder.name}
    return replace(
        run.settings,
        **where,
        part=run.paths.confirmation.joinpath(f"seed-{seed}").relative_to(run.folder).as_posix(),
        seed=seed,
        trials=trials,
        minutes=None,
        max_parameters=None,
        stopping="none",
        prunings_per_growth=1,
        warm_start=(),
    )


def _train_seed(
    own: Settings,
    wanted: Mapping[str, Candidate],
    cluster: Callable[[], Cluster],
    display: Display,
    sync: BucketSync | None,
) -> tuple[Path, dict[str | None, Record]]:
    """Train base, members and controls with one seed; the base's folder, and the trials by the names of candidates."""
    plans = {name: dict(one.plan) for name, one in wanted.items() if one.plan is not None}
    features, card = preparation.prepare_features(own, display)
    base = preparation.train_base(own, features, card, cluster, display)
    log = TrialLog(own.paths.trials)
    job = trials.make_job(own, base, features, cluster())
    searcher = trials.make_searcher(own, job, log, plans=plans)
    gauges = Gauges(own.full_name, own.space, own.model, log.standings, job["size_base"])
    trials.run_trials(
        trainables.load(spaces.load(own.space).PROCEDURE), searcher, log, own, cluster(), display, gauges, sync
    )
    gauges.finish()
    others = [functools.partial(one.train, own, base, features, cluster()) for one in wanted.values() if one.train]
    with ThreadPoolExecutor(cluster().concurrent) as pool:
        for done in pool.map(_carry_out, others):
            display.message(done)
    return base, {record.recipe: record for record in log.records.values()}


def _carry_out(train: Callable[[], str]) -> str:
    try:
        return train()
    except (ValueError, RuntimeError) as error:  # one of many, and only there to compare with
        logger.exception("left out")
        return f"left out: {error}"


def show(run: StoredRun, rows: Sequence[Row], display: Display) -> None:
    """Write the table into the run's folder and print it."""
    table = Table("detector", "parameters", "dev EER", "eval EER", "seeds", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(cell, row.cells()))
    Console(highlight=False).print(table)
    display.message(f"median (lowest to highest): {write(run.paths.confirmation_table, rows)}")
