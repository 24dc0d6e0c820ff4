"""What a resumed run makes of its study: nothing is running in it, and trials that were interrupted come again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from search.runs.record import Record
from search.tuning.study import Study
from search.tuning.warm_start import WarmStartTrial

Point = tuple[dict[str, Any] | None, dict[str, Any]]
"""Parameters to enqueue, if any, and user attributes of the trial."""
Values = Callable[[Record], Sequence[float]]
"""The value of every objective, by the record of a complete trial."""


def end_interrupted(study: Study, ended: Mapping[int, Record], values: Values) -> dict[int, int]:
    """Make the study agree with the trial log: record how trials ended that it calls running.

    Args:
        study: with the trials of earlier processes.
        ended: the trials that ended already, by number.
        values: of a complete trial.

    Returns:
        The latest ``trial_id`` of each number.
    """
    latest: dict[int, int] = {}
    for trial_id, trial in enumerate(study.earlier_trials):
        number = trial.user_attrs.get("number")
        if number is not None:
            latest[number] = trial_id
        if trial.state == TrialState.RUNNING:
            record = None if number is None else ended.get(number)
            state = TrialState.FAIL if record is None else TrialState[record.state]
            complete = record is not None and state == TrialState.COMPLETE
            study.tell_earlier(trial_id, state, values(record) if record is not None and complete else None)
    return latest


def add_warm_start(study: Study, trials: Sequence[WarmStartTrial], values: Values) -> None:
    """Add trials of other runs that an earlier process has not added."""
    added = {trial.user_attrs.get("warm_start") for trial in study.earlier_trials}
    for one in trials:
        if one.name not in added:
            study.add_trial(one.trial, values(one.record), {"warm_start": one.name})


def interrupted(study: Study, latest: Mapping[int, int], ended: Mapping[int, Record]) -> list[Point]:
    """Trials that started and are not in the trial log, to be rescheduled, by number.

    Args:
        study: with the trials of earlier processes.
        latest: the latest ``trial_id`` of each number.
        ended: the trials that ended already, by number.
    """
    trials = [study.earlier_trials[trial_id] for number, trial_id in sorted(latest.items()) if number not in ended]
    return [(trial.params, {**trial.user_attrs, "rescheduled": True}) for trial in trials]
