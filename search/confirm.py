"""The command that asks how sure a front is: ``python -m search.confirm RUN --seeds 3 --controls``.

Everything that a member of the front came from is done again with fresh seeds: base, growth, order of training. Beside
the members it can carry out what they should be compared with, with the same seeds.
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from search.cluster import ray_cluster
from search.settings.arguments import path_or_uri, whole

if TYPE_CHECKING:
    from search.display.progress import Display
    from search.running.confirmation import Row
    from search.runs.members import Run
    from search.storage.bucket_sync import BucketSync

logger = logging.getLogger(__name__)
FOLDER = "confirm"
"""In the run's folder."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Confirm a run's front from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when something failed, 2 when the command line is wrong, 130 when interrupted; a second call goes on.
    """
    try:
        ray_cluster.check_origin()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    given = _parser().parse_args(arguments)
    from search.display.terminal import complain
    from search.runs.members import Run
    from search.storage import bucket_sync
    from trainables.storage import bucket_files

    try:
        run = Run.find(given.run)
    except ValueError as error:
        complain(error)
        return 2
    settings = run.settings
    ray_cluster.prepare(settings.address)
    copied = None if settings.run_uri is None else bucket_files.join_uri(settings.run_uri, FOLDER)
    with (
        bucket_sync.synced_folder(run.folder / FOLDER, copied) as copy,
        ray_cluster.ray_session(
            settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
        ) as starting,
    ):
        from search.display.progress import Display

        display = Display()

        @functools.cache
        def place() -> ray_cluster.Cluster:
            found = ray_cluster.wait_for_nodes(
                starting, settings.gpus_per_trial, functools.partial(display.fact, "waiting for")
            )
            display.cluster(found)
            return found

        try:
            with display:
                rows = confirm(run, given.seeds, place, display, controls=given.controls, copy=copy)
            show(run, rows, display)
            return 0
        except KeyboardInterrupt:
            display.note("interrupted; the same command goes on")
            return 130
        except Exception as error:
            logger.exception("the confirmation broke off")
            complain(error)
            return 1


def confirm(
    run: Run,
    seeds: int,
    place: Callable[[], ray_cluster.Cluster],
    display: Display,
    *,
    controls: bool,
    copy: BucketSync | None = None,
) -> list[Row]:
    """Train the front's members anew with seeds that follow the run's, and score them on dev and eval.

    What an earlier call has finished in the run's folder is kept. While trials of a seed run, gauges of them are
    published as of a run ``NAME/confirm/seed-SEED``.

    Args:
        run: a run with a front.
        seeds: how many fresh seeds.
        place: the cluster, asked for once something has to be trained.
        display: told how far it is.
        controls: train what members are compared with as well.
        copy: what makes the copy of the folder follow it, if there is one.

    Raises:
        DropinError: no front, or another corpus than the run's.
    """
    import trainables
    from search.display.metrics import Gauges
    from search.running import preparation, trials
    from search.running.confirmation import Row, candidates, score
    from search.runs.trial_log import TrialLog

    wanted = candidates(run, controls=controls)
    rows = {name: Row(name, one.what) for name, one in wanted.items()}
    plans = {name: dict(one.plan) for name, one in wanted.items() if one.plan is not None}
    for seed in range(run.settings.seed + 1, run.settings.seed + 1 + seeds):
        own = replace(
            run.settings,
            seed=seed,
            storage=run.folder.parent,
            name=f"{run.folder.name}/{FOLDER}/seed-{seed}",
            trials=len(plans),
            minutes=None,
            max_parameters=None,
            stopping="none",
            prunings_per_growth=1,
            warm_start=(),
            resume=(run.folder / FOLDER / f"seed-{seed}").exists(),
        )
        with preparation.run_log(own):
            features, card = preparation.prepare_features(own, display)
            base = preparation.train_base(own, features, card, place, display)
            log = TrialLog(own.run_folder / "trials.jsonl")
            job = trials.make_job(own, base, features, place())
            searcher = trials.make_searcher(own, job, log, plans=plans)
            gauges = Gauges(own.name, own.space, own.model, job["size_base"], log.records.values())
            trainable = trainables.load(own.space)
            trials.run_trials(trainable, searcher, log, own, place(), display, gauges, copy)
            gauges.still()
            others = [
                functools.partial(one.train, own, base, features, place()) for one in wanted.values() if one.train
            ]
            with ThreadPoolExecutor(place().concurrent) as pool:
                for done in pool.map(_carry_out, others):
                    display.note(done)
            names = {record.recipe: record for record in log.records.values()}
            score(run, own, base, names, rows, display)
    return list(rows.values())


def _carry_out(train: Callable[[], str]) -> str:
    try:
        return train()
    except (ValueError, RuntimeError) as error:  # one of many, and only there to compare with
        logger.exception("left out")
        return f"left out: {error}"


def show(run: Run, rows: Sequence[Row], display: Display) -> None:
    """Write the table into the run's folder and print it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from search.display.terminal import cell
    from search.running.confirmation import write

    table = Table("detector", "parameters", "dev EER", "eval EER", "seeds", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(cell, row.cells()))
    Console(highlight=False).print(table)
    display.note(f"median (lowest to highest): {write(run.folder / FOLDER / 'confirm.csv', rows)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search.confirm",
        description="Train a front's members anew with fresh seeds; median and spread of their EER on dev and eval.",
    )
    parser.add_argument("run", type=path_or_uri, metavar="RUN", help="folder or URI of a run")
    parser.add_argument("--seeds", type=whole(1), default=3, metavar="N", help="fresh seeds (default: 3)")
    parser.add_argument(
        "--controls", action="store_true", help="also the paper's plan, no growth, static replay and LoRA, beside each"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
