"""A searcher whose trials end in a trial log, as Tune's callback writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search.running.tune_callback import record_of
from search.runs.trial_log import TrialLog
from search.tuning.searcher import PlanSearch
from searchers import result, searcher, suggested


class LoggedRun:
    """A run in a folder, which may hold one that was begun before.

    Attributes:
        search: its searcher.
        log: its trial log.
    """

    def __init__(self, folder: Path, **changed: Any) -> None:
        """Open the run; `changed` is what `searchers.searcher` takes."""
        self.log = TrialLog(folder / "trials.jsonl")
        self.search: PlanSearch = searcher(folder, self.log.records, standings=self.log.standings, **changed)
        self.search.__class__ = PlanSearch  # the log itself counts in the standings

    def end(self, trial_id: str, config: Any, last: dict[str, Any], error: bool = False) -> None:
        """End a trial as Tune does: the searcher is told first."""
        last = json.loads(json.dumps(last))
        self.search.on_trial_complete(trial_id, None if error else last, error)
        self.log.append(record_of(config, last, "RuntimeError: no" if error else None))

    def carry_out(self, trial_id: str, eer: float | None = None, size: int | None = None) -> dict[str, Any]:
        """Suggest a trial and end it, with another EER and size if they are given; its plan."""
        config = suggested(self.search, trial_id)
        changed = {"best_eer": eer, "size": size}
        self.end(trial_id, config, {**result(config["plan"]), **{k: v for k, v in changed.items() if v is not None}})
        plan: dict[str, Any] = config["plan"]
        return plan
