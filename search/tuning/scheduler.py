"""Early stopping under Ray Tune: `search.tuning.halving` as a scheduler, for one objective and for two.

Ray's own ASHA knows one objective, compares trials by epochs alone, whatever has happened to their structure, and
interpolates between values, so that a rescaled objective stops other trials.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.runs.append_only import AppendOnlyFile
from search.tuning.halving import Halving, describe_rungs, rung_of, worth_stopping
from trainables.errors import DropinError

logger = logging.getLogger(__name__)


class HalvingScheduler(FIFOScheduler):
    """Stops trials that a rung does not promote, where that is worth it. Recipes always run to their end, as baselines.

    Each trial that reaches a rung is a line of a file in the run's folder, so that a resumed run has the same rungs.
    """

    def __init__(self, objectives: Sequence[str], log: Path) -> None:
        """Read the rungs that the log holds, if it is there.

        Args:
            objectives: the results by which trials are compared, all to be minimized: one, or an EER and a size.
            log: the file of trials that reached rungs.

        Raises:
            DropinError: a line of the log is none of a trial that reached a rung.
        """
        super().__init__()
        self.objectives, self.log = tuple(objectives), log
        self.halving = Halving()
        self.file = AppendOnlyFile(log)
        log.touch()
        try:
            self.halving = Halving.from_state(map(json.loads, log.read_bytes().splitlines()))
        except (ValueError, RecursionError) as error:
            raise DropinError(
                f"{log} must be a line of JSON for every trial at a rung ({error}): remove the line, or the file, and "
                "early stopping begins anew"
            ) from error

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Accept whatever Tune was told: the objectives are known."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Whether the trial continues after this epoch."""
        rung = rung_of(result["epoch"], result["last_change"], result["epochs"], result["last_cut"])
        values = [float(result[name]) for name in self.objectives]
        if rung is None or not all(map(math.isfinite, values)):
            return TrialScheduler.CONTINUE
        number = trial.config["number"]
        promoted = self.halving.promote(number, rung, values)
        self.file.append(json.dumps([*rung, number, values]))
        if promoted or trial.config.get("exempt") or not worth_stopping(result["work_done"]):
            return TrialScheduler.CONTINUE
        logger.info("trial %d is stopped after epoch %d of %d", number, result["epoch"], result["epochs"])
        return TrialScheduler.STOP

    def debug_string(self) -> str:
        """What Tune says of its scheduler."""
        return f"Successive halving: {describe_rungs(self.halving.reached)}"

    def save(self, checkpoint_path: str) -> None:
        """Write the rungs, as JSON."""
        Path(checkpoint_path).write_text(json.dumps(self.halving.state()), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Read written rungs."""
        self.halving = Halving.from_state(json.loads(Path(checkpoint_path).read_text(encoding="utf-8")))
