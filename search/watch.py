"""What happens when Tune tells us something: an ended trial is logged, tables and display follow, limits are kept."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from search import objective, run_folder
from search.progress import Display, describe
from search.sampler import METRIC, ending
from search.trial_log import Record, TrialLog

logger = logging.getLogger(__name__)
LONG_LINE = 200


class Watcher(Callback):
    """Writes every ended trial into the trial log, and keeps tables, the run's log and the display up to date.

    The front is on the disk from the first trial on, so that it is there however the run ends.
    """

    def __init__(self, log: TrialLog, display: Display, limits: Limits) -> None:
        """Write to `log` and show on `display`, also why the search ends before its last trial."""
        self._log, self._display, self._limits = log, display, limits
        self._ending = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks to restore runs its own way, which this project does not use."""
        return {}

    def on_step_end(self, iteration: int, trials: Sequence[Trial], **info: Any) -> None:
        """Some time passed. Said here and not by a signal's handler, which may interrupt a line being printed."""
        if not self._ending and self._limits.stop_all():
            self._ending = True
            why = "asked to end" if self._limits.asked else "time is over"
            logger.warning("%s", why)
            again = " (again to end at once)" if self._limits.asked else ""
            self._display.note(f"{why}: trials under way are stopped, the front is written{again}")

    def on_trial_start(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial began on a worker."""
        logger.info("trial %d begins%s", trial.config["number"], _named(trial.config["recipe"]))
        self._display.trial(trial.config["number"], 0, trial.config["plan"]["epochs"])

    def on_trial_result(
        self, iteration: int, trials: Sequence[Trial], trial: Trial, result: Mapping[str, Any], **info: Any
    ) -> None:
        """An epoch of a trial ended."""
        self._display.trial(trial.config["number"], result.get("epoch", 0), result.get("epochs", 0))

    def on_trial_complete(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial ended without raising."""
        self._end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial raised, or its worker was lost."""
        self._end(trial, failed=True)

    def on_trial_recover(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial is tried again from its last checkpoint."""
        logger.warning("trial %d failed and is tried again:\n%s", trial.config["number"], _traceback(trial))

    def _end(self, trial: Trial, *, failed: bool) -> None:
        record = record_of(trial.config, trial.last_result, _traceback(trial) if failed else None)
        self._log.append(record)
        run_folder.write_tables(self._log.path.parent, list(self._log.records.values()))
        if record.state == "FAIL":
            logger.error("trial %d failed: %s", record.number, _traceback(trial) or record.error)
        else:
            logger.info("%s", describe(record))
        self._display.ended(record)


class Limits(Stopper):
    """Ends the search when its time is over or somebody asked for it.

    Attributes:
        asked: whether somebody asked for the end.
        deadline: seconds on the monotonic clock at which the search ends; infinity for never.
    """

    def __init__(self, minutes: float | None) -> None:
        """`minutes` from now on, or no limit."""
        self.asked = False
        self.deadline = time.monotonic() + 60 * minutes if minutes else math.inf

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether this trial must end; trials end on their own."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials must end now."""
        return self.asked or time.monotonic() > self.deadline


def record_of(config: Mapping[str, Any], result: Mapping[str, Any] | None, traceback: str | None) -> Record:
    """The log's record of a trial.

    Args:
        config: what the trial was given: plan, number, recipe.
        result: its last result, if any.
        traceback: what it raised, if it did.
    """
    result = result or {}
    state, _ = objective.told(ending(result, traceback is not None), [result.get(METRIC)])
    error = None
    if traceback is not None:
        error = _last_line(traceback)
    elif state.name == "FAIL":
        error = f"{METRIC} must be a finite number; the trial ended with {result.get(METRIC)}"
    return Record(
        number=config["number"],
        state=state.name,
        recipe=config["recipe"],
        plan=config["plan"],
        eer=_finite(result.get("best_eer")),
        loss=_finite(result.get("loss")),
        size=result.get("size"),
        weighted_eer=_finite(result.get(METRIC)),
        trainable_parameters=result.get("trainable_parameters"),
        epochs=result.get("epoch", 0),
        seconds=_finite(result.get("time_total_s")),
        seconds_step=_finite(result.get("seconds_step")),
        seconds_forward=_finite(result.get("seconds_forward")),
        seconds_backward=_finite(result.get("seconds_backward")),
        error=error,
        total_widths=result.get("total_widths", {}),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _traceback(trial: Trial) -> str:
    # Trial.get_error reads the copy in the storage, which Tune makes later than it tells of the error.
    path = trial.error_file
    return Path(path).read_text(encoding="utf-8") if path and Path(path).exists() else ""


def _last_line(traceback: str) -> str:
    """What a traceback says in the end; Ray's long advice about lost workers is left to the run's log."""
    lines = traceback.strip().splitlines() or ["the worker was lost"]
    return lines[-1] if len(lines[-1]) <= LONG_LINE else lines[-1].split(". ")[0][:LONG_LINE]


def _named(recipe: str | None) -> str:
    return f" ({recipe})" if recipe else ""
