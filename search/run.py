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

from search import cluster

if TYPE_CHECKING:
    from search.mirror import Mirror
    from search.monitor import Monitor
    from search.settings import Settings

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
        cluster.check_origin()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    # Only now: this imports trainables and spaces, which the check above has vouched for.
    from search import mirror
    from search.monitor import Monitor
    from search.settings import complete, read

    settings = read(arguments)
    monitor = Monitor(settings.run_folder / "monitor") if settings.monitor else None
    # Before Ray is imported, which reads its environment then.
    cluster.prepare(settings.address)
    if monitor is not None:
        monitor.tell_ray()
    ray = cluster.starting(
        settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
    )
    with mirror.mirrored(settings.run_folder, settings.copy) as copy, ray as place, monitor or nullcontext():
        code = _run(complete(settings), place, monitor, copy)
    return max(code, int(copy is not None and bool(copy.lacking)))


def _run(settings: Settings, starting: Future[cluster.Cluster], monitor: Monitor | None, copy: Mirror | None) -> int:
    # Only now: torch, Tune and all that needs them are imported while Ray starts.
    import trainables
    from search import confirm, stages, trials, warm_start
    from search.gauges import Gauges
    from search.members import Run
    from search.progress import Display
    from search.terminal import complain
    from search.trial_log import TrialLog

    try:
        earlier = warm_start.check(settings)
    except ValueError as error:
        complain(error)
        return 2
    display, broken = Display(), False

    @functools.cache
    def place() -> cluster.Cluster:
        """The cluster, as soon as there is one; shown once."""
        found = cluster.ready(starting, settings.gpus_per_trial, functools.partial(display.fact, "waiting for"))
        display.cluster(found)
        if monitor is not None:
            for name, text in monitor.start(found.session, settings.address):
                display.fact(name, text)
        return found

    with stages.run_log(settings):
        try:
            with display:
                log = TrialLog(settings.run_folder / "trials.jsonl")
                display.fact("run", settings.copy or str(settings.run_folder))
                if settings.address is not None:
                    starting.result()  # what a cluster that is there can never carry out is refused before any work
                features, card = stages.hear(settings, display)
                base = stages.train_base(settings, features, card, place, display)
                job = trials.make_job(settings, base, features, place())
                searcher = trials.make_searcher(settings, job, log, warm_start.known(settings, earlier))
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
            again = settings.copy or settings.run_folder
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
