"""The command that searches: ``python -m search.run --space plasticity``."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from search import cluster

logger = logging.getLogger("search.run")
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0 when there is a front, 1 when there is none or something failed, 130 when interrupted before the trials.

    Raises:
        SystemExit: with code 2 and a message when the command line is wrong.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cluster.check_origin()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    # Only now: what follows imports trainables and spaces, which the check above has vouched for.
    from search.settings import parse

    settings = parse(arguments)
    cluster.prepare(settings.address)

    # Only now: Ray reads its environment when it is imported.
    import trainables
    from search import stages
    from search.progress import Display
    from search.trial_log import TrialLog

    handler = stages.open_folder(settings)
    display = Display()
    try:
        with display:
            log = TrialLog(settings.run_folder / "trials.jsonl")
            display.fact("run", str(settings.run_folder))
            features, card = stages.hear(settings, display)
            place = cluster.start(
                settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
            )
            display.cluster(place)
            base = stages.train_base(settings, features, card, place, display)
            searcher = stages.make_searcher(settings, stages.make_job(settings, base, features, place), log)
            failed = False
            try:
                stages.run_trials(trainables.load(settings.space), searcher, log, settings, place, display)
            except KeyboardInterrupt:
                logger.warning("ended at once")
            except Exception as error:
                logger.exception("the search broke off")
                display.note(f"the search broke off ({error}); see {settings.run_folder / 'run.log'}")
                failed = True
            display.still()
        return int(not stages.finish(settings, log, display) or failed)
    except KeyboardInterrupt:
        display.note(f"interrupted before the first trial; go on with --resume {settings.run_folder}")
        return INTERRUPTED
    except ValueError as error:
        logger.exception("refused")
        display.note(str(error))
        return 1
    finally:
        cluster.stop()
        logging.shutdown()
        handler.close()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
