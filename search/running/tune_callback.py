"""What happens when Tune tells us something: an ended trial is logged, tables and display follow, limits are kept.

Tune keeps every trial for as long as it runs, and nothing of it is needed here once it is in the trial log, so that is
taken out of it when it ends.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, cast

from pyarrow.fs import FileSystem
from ray.tune import Callback, Checkpoint, Stopper
from ray.tune.experiment import Trial
from ray.tune.result import NODE_IP

from search.cluster import ray_compat
from search.display.metrics import Gauges
from search.display.progress import Display, describe
from search.running import interruption
from search.running.disk_space import DiskSpace, is_storage_error
from search.runs import results
from search.runs.record import Record, from_result
from search.runs.trial_log import TrialLog
from search.storage.bucket_sync import BucketSync
from search.tuning import objective
from search.tuning.searcher import METRIC, ending
from spaces.recipes import is_recipe
from trainables.messages import TrialConfig
from trainables.storage.run_paths import RunPaths

logger = logging.getLogger(__name__)
LONG_LINE = 200
PAUSE = 5.0
"""Seconds between two versions of the tables, at least."""
SHARE = 0.02
"""Share of the time that writing tables may take; they grow with the run."""


class TuneCallback(Callback):
    """Writes every ended trial into the trial log, and keeps tables, the run's log and the display up to date.

    The tables follow the log by some seconds: programs of this project read the log, people may look at the tables.
    """

    def __init__(
        self,
        log: TrialLog,
        display: Display,
        limits: StopConditions,
        gauges: Gauges | None = None,
        elsewhere: BucketSync | None = None,
        reschedule: Callable[[int], None] | None = None,
        space: DiskSpace | None = None,
    ) -> None:
        """Write to `log`, publish on `gauges` and show on `display`, also why the search ends before its last trial.

        Args:
            log: of the run.
            display: of the run.
            limits: what ends the search.
            gauges: what is published of it.
            elsewhere: the copy of the run's folder, where workers write detectors and checkpoints into that.
            reschedule: suggests the trial of this number once more; without it what Tune gives up has failed.
            space: told what could not be written.
        """
        self._elsewhere, self._paths = elsewhere, RunPaths(log.path.parent)
        self._log, self._display, self._limits, self._gauges = log, display, limits, gauges
        self._reschedule, self._rescheduled, self._space = reschedule, Counter[int](), space
        self._ending = False
        self._written, self._next_tables = len(log.records), 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks to restore runs its own way, which this project does not use."""
        return {}

    def on_step_end(self, iteration: int, trials: Sequence[Trial], **info: Any) -> None:
        """Some time passed. Said here and not by a signal's handler, which may interrupt a line being printed."""
        if not self._ending and self._limits.stop_all():
            self._ending = True
            asked = interruption.asked()
            why, again = ("asked to end", " (again to end at once)") if asked else ("time is over", "")
            logger.warning("%s", why)
            self._display.message(f"{why}: trials under way are stopped, the front is written{again}")
        if self._gauges is not None:
            self._gauges.publish_if_due()
        if self._space is not None:
            self._space.flush()
        if len(self._log.records) > self._written and time.monotonic() >= self._next_tables:
            self._write_tables()

    def on_trial_start(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial began on a worker."""
        logger.info("trial %d begins%s", trial.config["number"], _named(trial.config["recipe"]))
        self._display.trial_epoch(trial.config["number"], 0, trial.config["plan"]["epochs"])
        if self._gauges is not None:
            self._gauges.trial_running(trial.config["number"])

    def on_trial_result(
        self, iteration: int, trials: Sequence[Trial], trial: Trial, result: Mapping[str, Any], **info: Any
    ) -> None:
        """An epoch of a trial ended."""
        number, epoch, epochs = trial.config["number"], result.get("epoch", 0), result.get("epochs", 0)
        logger.info("trial %d: epoch %d of %d, EER %.4f", number, epoch, epochs, result.get("eer", math.nan))
        self._display.trial_epoch(number, epoch, epochs)
        if self._gauges is not None:
            self._gauges.trial_running(number, result.get(NODE_IP), _finite(result.get("seconds_step")))

    def on_checkpoint(
        self, iteration: int, trials: Sequence[Trial], trial: Trial, checkpoint: Checkpoint, **info: Any
    ) -> None:
        """A trial wrote its state: the one before is not needed any more.

        Tune would remove it as well if it were told to keep one, but then writes the state of all trials every time.
        """
        if trial.checkpoint is not None:
            self._remove(trial.checkpoint.filesystem, trial.checkpoint.path)

    def on_trial_complete(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial ended without raising."""
        self._end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial raised, or its worker was lost.

        Tune retries a trial that was running. It gives up at once where the worker is lost while it takes a trial over
        from the one before (``reuse_actors``): such a trial is rescheduled.
        """
        number, error = trial.config["number"], ray_compat.trial_traceback(trial)
        if self._reschedule is not None and self._space is not None and is_storage_error(error):
            logger.warning("trial %d could not write; it is carried out again:\n%s", number, error)
            self._space.failed(f"trial {number}: {_last_line(error)}")
            self._forget(trial)
            self._reschedule(number)
            return
        if (
            self._reschedule is None
            or not ray_compat.can_retry(trial)
            or self._rescheduled[number] >= ray_compat.max_retries(trial)
        ):
            self._end(trial, failed=True)
            return
        self._rescheduled[number] += 1
        logger.warning(
            "trial %d: worker lost; rescheduling (retry %d of %d):\n%s",
            number,
            self._rescheduled[number],
            ray_compat.max_retries(trial),
            error,
        )
        self._forget(trial)
        self._reschedule(number)

    def on_trial_recover(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        """A trial is tried again from its last checkpoint."""
        logger.warning(
            "trial %d failed and is tried again:\n%s", trial.config["number"], ray_compat.trial_traceback(trial)
        )

    def _end(self, trial: Trial, *, failed: bool) -> None:
        traceback = ray_compat.trial_traceback(trial) if failed else None
        record = record_of(cast(TrialConfig, trial.config), trial.last_result, traceback)
        cpus, gpus = ray_compat.trial_resources(trial)
        record = replace(record, ended=datetime.now(tz=timezone.utc).timestamp(), cpus=cpus, gpus=gpus)
        beaten = self._log.append(record)
        if record.state == "FAIL":
            logger.error("trial %d failed: %s", record.number, ray_compat.trial_traceback(trial) or record.error)
        else:
            logger.info("%s", describe(record))
        self._display.trial_ended(record)
        if self._gauges is not None:
            self._gauges.trial_ended(record)
        self._keep_detectors(record, beaten)
        self._forget(trial)

    def _forget(self, trial: Trial) -> None:
        """Remove what Tune keeps of a trial."""
        if (storage := ray_compat.trial_storage(trial)) is not None:
            self._remove(*storage)
        ray_compat.clear_trial(trial)

    def _keep_detectors(self, record: Record, beaten: Sequence[Record]) -> None:
        """Remove the detectors of trials that are beaten; recipes keep theirs, as the front is compared with them."""
        if record.state != "COMPLETE":
            return
        if self._elsewhere is not None and (record not in beaten or is_recipe(record.recipe)):
            self._elsewhere.fetch(self._paths.detector(record.number))
        for one in beaten:
            if is_recipe(one.recipe):
                continue
            if self._elsewhere is None:
                shutil.rmtree(self._paths.detector(one.number), ignore_errors=True)
            else:
                self._elsewhere.delete(self._paths.detector(one.number))

    def _remove(self, filesystem: FileSystem, path: str) -> None:
        """Remove a folder of Tune's; one in a storage without keeping the search waiting."""
        if self._elsewhere is None:
            shutil.rmtree(path, ignore_errors=True)
        else:
            self._elsewhere.delete_path(filesystem, path)

    def _write_tables(self) -> None:
        began = time.monotonic()
        try:
            results.write_tables(self._paths, list(self._log.records.values()))
        except OSError as error:  # they are written again, at the latest when the run ends
            logger.warning("tables could not be written: %s", error)
            if self._space is not None:
                self._space.failed(error)
        ended = time.monotonic()
        self._written = len(self._log.records)
        self._next_tables = ended + max(PAUSE, (ended - began) / SHARE)


class StopConditions(Stopper):
    """Ends the search when its time is over or somebody asked for it.

    Attributes:
        deadline: seconds on the monotonic clock at which the search ends; infinity for never.
    """

    def __init__(self, minutes: float | None) -> None:
        """`minutes` from now on, or no limit."""
        self.deadline = time.monotonic() + 60 * minutes if minutes else math.inf

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether this trial must end; trials end on their own."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials must end now."""
        return interruption.asked() or time.monotonic() > self.deadline


def record_of(config: TrialConfig, result: Mapping[str, Any] | None, traceback: str | None) -> Record:
    """The log's record of a trial.

    Args:
        config: what the trial was given: plan, number, recipe, and what the study knows of it.
        result: its last result, if any.
        traceback: what it raised, if it did.
    """
    result = result or {}
    state, _ = objective.optuna_state_and_values(ending(result, traceback is not None), [result.get(METRIC)])
    error = None
    if traceback is not None:
        error = _last_line(traceback)
    elif "failed" in result:
        error = result["failed"]
    elif state.name == "FAIL":
        error = f"{METRIC} must be a finite number; the trial ended with {result.get(METRIC)}"
    return Record(
        number=config["number"],
        state=state.name,
        recipe=config["recipe"],
        plan={**config["plan"], **({"criterion": result["criterion"]} if "criterion" in result else {})},
        error=error,
        parameters=objective.used_parameters(config.get("parameters", {}), config["plan"], result),
        attributes=config.get("attributes", {}),
        **from_result(result),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _last_line(traceback: str) -> str:
    """What a traceback says in the end; Ray's long advice about lost workers is left to the run's log."""
    lines = traceback.strip().splitlines() or ["the worker was lost"]
    return lines[-1] if len(lines[-1]) <= LONG_LINE else lines[-1].split(". ")[0][:LONG_LINE]


def _named(recipe: str | None) -> str:
    return f" ({recipe})" if recipe else ""
