"""Pretended trials carried out as a run does it, on workers of this machine."""

from __future__ import annotations

import io
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rich.console import Console

import pretended
from search.cluster.ray_cluster import Cluster
from search.display.progress import Display
from search.running import trials
from search.running.finish import finish
from search.runs import trial_log
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.tuning.feasibility import Feasibility
from search.tuning.searcher import PlanSearch

PLAIN = {"x": 0.5, "size": 100, "epochs": 2}
FAILING = {name: {**PLAIN, "fails": name} for name in ("raise", "nan", "die")}


def carry_out(settings: Settings, workers: Cluster, **changed: Any) -> dict[int, Record]:
    """Run trials and give what the log then holds."""
    log = TrialLog(settings.run_folder / "trials.jsonl")
    options: dict[str, Any] = {
        "recipes": {},
        "initial_points": {},
        "check_feasibility": lambda plan: Feasibility(),
        "sampler": "tpe",
        "seed": 0,
    }
    search = PlanSearch(
        changed.pop("space", pretended.space),
        job={},
        journal=settings.run_folder / "study.journal",
        ended=log.records,
        standings=log.standings,
        startup=2,
        **{**options, **changed},
    )
    display = Display(Console(file=io.StringIO()))
    trials.run_trials(pretended.Pretended, search, log, settings, workers, display)
    finish(settings, log, display)
    return trial_log.read(log.path)


def states(settings: Settings) -> list[TrialState]:
    storage = JournalStorage(JournalFileBackend(str(settings.run_folder / "study.journal")))
    return [trial.state for trial in optuna.load_study(study_name="search", storage=storage).trials]
