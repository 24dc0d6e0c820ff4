"""The command that searches: ``python -m search.run --space plasticity``."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from types import FrameType
from typing import TYPE_CHECKING

from search.cluster import ray_cluster

if TYPE_CHECKING:
    from search.display.monitor import Monitor
    from search.settings.options import Settings
    from search.storage.bucket_sync import BucketSync

logger = logging.getLogger("search.run")
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0 when there is a front, 1 when there is none, something failed, or files are not in the storage, 2 when the
        project's packages are mixed up with others or ``--warm-start`` names what this run cannot learn from, 130 when
        interrupted before the trials.

    Raises:
        SystemExit: with code 2 and a message when the command line is wrong.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        ray_cluster.check_origin()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    # Only now: this imports trainables and spaces, which the check above has vouched for.
    from search.display.monitor import Monitor
    from search.settings.options import complete, read
    from search.storage import bucket_sync

    settings = read(arguments)
    monitor = Monitor(settings.run_folder / "monitor") if settings.monitor else None
    # Before Ray is imported, which reads its environment then.
    ray_cluster.prepare(settings.address)
    if monitor is not None:
        monitor.tell_ray()
    ray = ray_cluster.ray_session(
        settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
    )
    with (
        bucket_sync.synced_folder(settings.run_folder, settings.run_uri) as copy,
        ray as place,
        monitor or nullcontext(),
    ):
        code = _run(complete(settings), place, monitor, copy)
    return max(code, int(copy is not None and bool(copy.lacking)))


def _run(
    settings: Settings, starting: Future[ray_cluster.Cluster], monitor: Monitor | None, copy: BucketSync | None
) -> int:
    # Only now: torch, Tune and all that needs them are imported while Ray starts.
    import trainables
    from search import confirm
    from search.display.metrics import Gauges
    from search.display.progress import Display
    from search.display.terminal import complain
    from search.running import preparation, trials
    from search.runs.members import Run
    from search.runs.trial_log import TrialLog
    from search.tuning import warm_start

    try:
        earlier = warm_start.open_runs(settings)
    except ValueError as error:
        complain(error)
        return 2
    display, broken = Display(), False

    @functools.cache
    def place() -> ray_cluster.Cluster:
        """The cluster, as soon as there is one; shown once."""
        found = ray_cluster.wait_for_nodes(
            starting, settings.gpus_per_trial, functools.partial(display.fact, "waiting for")
        )
        display.cluster(found)
        if monitor is not None:
            for name, text in monitor.start(found.session, settings.address):
                display.fact(name, text)
        return found

    with preparation.run_log(settings):
        try:
            with display:
                log = TrialLog(settings.run_folder / "trials.jsonl")
                display.fact("run", settings.run_uri or str(settings.run_folder))
                if settings.address is not None:
                    starting.result()  # what a cluster that is there can never carry out is refused before any work
                features, card = preparation.prepare_features(settings, display)
                base = preparation.train_base(settings, features, card, place, display)
                job = trials.make_job(settings, base, features, place())
                searcher = trials.make_searcher(settings, job, log, warm_start.warm_start_trials(settings, earlier))
                tags = (settings.name, settings.space, settings.model)
                gauges = Gauges(*tags, job["size_base"], log.records.values())
                trainable = trainables.load(settings.space)
                try:
                    trials.run_trials(trainable, searcher, log, settings, place(), display, gauges, copy)
                except (Exception, KeyboardInterrupt) as error:
                    # Whatever it was: what has ended is in the log, and makes a front.
                    logger.exception("the trials broke off")
                    display.note(f"the trials broke off: {error or 'ended at once'}")
                    broken = isinstance(error, Exception)
                display.still()
                gauges.still()
            found = trials.finish(settings, log, display)
            if found and settings.confirm and not broken:
                run = Run.open(settings.run_folder)
                with display:
                    rows = confirm.confirm(run, settings.confirm, place, display, controls=settings.controls, copy=copy)
                confirm.show(run, rows, display)
            return int(not found or broken)
        except KeyboardInterrupt:
            again = settings.run_uri or settings.run_folder
            display.note(f"interrupted before the first trial; go on with --resume {again}")
            return INTERRUPTED
        except Exception as error:
            logger.exception("the run broke off")
            display.note(f"{error}\n(more in {settings.run_folder / 'run.log'})")
            return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
