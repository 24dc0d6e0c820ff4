"""A searcher over a small space of plans, and what its trials come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from pretended import space
from search.runs.front import Standings
from search.runs.record import Record
from search.tuning.feasibility import Feasibility
from search.tuning.searcher import PlanSearch

RECIPES = {"paper": {"x": 0.5, "size": 100, "epochs": 2}, "control": {"x": 0.75, "size": 100, "epochs": 2}}
INITIAL_POINTS = {"small": {"x": 0.25, "size": 60}}


class LoggedSearch(PlanSearch):
    """A searcher whose trials are counted in the standings as they end, as the trial log does it."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, result, error)
        if result and not error:
            number, eer, size = self._standings.ended, result.get("best_eer"), result.get("size")
            self._standings.add(Record(number, "COMPLETE", None, {}, eer=eer, size=size))


def searcher(folder: Path, ended: Mapping[int, Record] | None = None, **changed: Any) -> PlanSearch:
    defaults: dict[str, Any] = {
        "job": {"seed": 1},
        "recipes": {},
        "initial_points": {},
        "check_feasibility": lambda plan: Feasibility(),
        "sampler": "tpe",
        "seed": 0,
        "startup": 2,
    }
    chosen = changed.pop("space", space)
    given = {**defaults, "standings": Standings((ended or {}).values()), **changed}
    return LoggedSearch(chosen, journal=folder / "study.journal", ended=ended or {}, **given)


def rejecting(reason: str, what: Callable[[Mapping[str, Any]], bool]) -> Callable[[Mapping[str, Any]], Feasibility]:
    return lambda plan: Feasibility(reason if what(plan) else None)


def trials(folder: Path) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="search", storage=storage).trials


def result(plan: Mapping[str, Any], epoch: int = 2) -> dict[str, Any]:
    eer = (plan["x"] - 0.3) ** 2
    return {
        "epoch": epoch,
        "epochs": 2,
        "best_weighted_eer": eer + plan["size"] / 1000,
        "best_eer": eer,
        "size": plan["size"],
    }


def suggested(search: PlanSearch, trial_id: str) -> dict[str, Any]:
    config = search.suggest(trial_id)
    assert isinstance(config, dict)
    return config


def run(search: PlanSearch, count: int, begin: int = 0) -> list[dict[str, Any]]:
    plans = []
    for i in range(begin, begin + count):
        config = suggested(search, str(i))
        search.on_trial_complete(str(i), result(config["plan"]))
        plans.append(config["plan"])
    return plans


def record(config: Mapping[str, Any], state: str = "COMPLETE") -> Record:
    value = result(config["plan"])["best_weighted_eer"]
    return Record(config["number"], state, config["recipe"], config["plan"], eer=0.1, size=1, weighted_eer=value)
