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

from search.runs.trial_log import drop_cut_off_line
from search.tuning.halving import Halving, by_rung, pays, rung_of

logger = logging.getLogger(__name__)


class HalvingScheduler(FIFOScheduler):
    """Stops trials at rungs where that pays. Recipes always run to their end: they are there to be compared with.

    Every verdict is a line of a file in the run's folder, so that a resumed run goes on from the same rungs.
    """

    def __init__(self, objectives: Sequence[str], journal: Path) -> None:
        """Go on from what the journal holds, if it is there.

        Args:
            objectives: the results by which trials are compared, all to be made small: one, or an EER and a size.
            journal: the file of verdicts.
        """
        super().__init__()
        self.objectives, self.journal = tuple(objectives), journal
        self.halving = Halving()
        drop_cut_off_line(journal)
        journal.touch()
        self.halving = Halving.of(map(json.loads, journal.read_text(encoding="utf-8").splitlines()))

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Accept whatever Tune was told: the objectives are known."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Whether the trial goes on after this epoch."""
        rung = rung_of(result["epoch"], result["last_change"], result["epochs"], result["last_cut"])
        values = [float(result[name]) for name in self.objectives]
        if rung is None or not all(map(math.isfinite, values)):
            return TrialScheduler.CONTINUE
        number = trial.config["number"]
        on = self.halving.goes_on(number, rung, values)
        with self.journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps([*rung, number, values]) + "\n")
        if on or trial.config.get("exempt") or not pays(result["work_done"]):
            return TrialScheduler.CONTINUE
        logger.info("trial %d is stopped after epoch %d of %d", number, result["epoch"], result["epochs"])
        return TrialScheduler.STOP

    def debug_string(self) -> str:
        """What Tune says of its scheduler."""
        return f"Successive halving: {by_rung(self.halving.reached)}"

    def save(self, checkpoint_path: str) -> None:
        """Write the rungs, as JSON."""
        Path(checkpoint_path).write_text(json.dumps(self.halving.state()), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Go on from written rungs."""
        self.halving = Halving.of(json.loads(Path(checkpoint_path).read_text(encoding="utf-8")))
