"""What a resumed run makes of its study: it agrees with the trial log, and trials that were interrupted come again.

The log is what counts. It is synced and the study's journal is not, so the journal may lack what the log has; and a
process may end between the two, so the journal may have what the log lacks.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.runs.front import Standings
from search.runs.record import Record
from search.tuning.record_trial import Values, trial_of
from search.tuning.study import Study
from search.tuning.warm_start import WarmStartTrial

Point = tuple[dict[str, Any] | None, dict[str, Any]]
"""Parameters to enqueue, if any, and user attributes of the trial."""


def agree(
    study: Study, ended: Mapping[int, Record], space: Callable[[optuna.Trial], Any], values: Values
) -> dict[int, int]:
    """Make the study agree with the trial log: nothing runs in it, and what ended is in it as the log has it.

    Trials of records without parameters are left out where the study does not have them: recipes, and what an earlier
    version wrote.

    Args:
        study: with the trials of earlier processes.
        ended: the trials that ended already, by number.
        space: suggests the parameters of a trial.
        values: of a complete trial.

    Returns:
        The latest ``trial_id`` of each number.

    Raises:
        DropinError: a trial of the log is no point of the space.
    """
    trials = study.earlier_trials
    latest = _latest(trials)
    wanted = []
    for trial_id, trial in enumerate(trials):
        number = trial.user_attrs.get("number", -1)
        wanted.append(_as_logged(trial, ended.get(number) if latest.get(number) == trial_id else None, values))
    missing = [
        trial_of(record, space, values)
        for number, record in sorted(ended.items())
        if record.parameters and number not in latest
    ]
    if all(one is trial or _only_ended(trial, one) for one, trial in zip(wanted, trials, strict=True)):
        for trial_id, (trial, one) in enumerate(zip(list(trials), wanted, strict=True)):
            if one is not trial:
                study.tell_earlier(trial_id, one.state, one.values)
        for one in missing:
            study.add_earlier(one)
    else:
        study.rewrite([*wanted, *missing])
    counts = [record.attributes.get("asked") for record in ended.values()]
    study.asked = max([study.asked, *(count + 1 for count in counts if type(count) is int)])
    return _latest(study.earlier_trials)


def _latest(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    numbers = [trial.user_attrs.get("number") for trial in trials]
    return {number: trial_id for trial_id, number in enumerate(numbers) if number is not None}


def _as_logged(trial: FrozenTrial, record: Record | None, values: Values) -> FrozenTrial:
    """A trial of the study as it should be: itself, or one with what its record says.

    Args:
        trial: of the study; what has no number was rejected, or is another run's, and stays as it is.
        record: of the trial, if it is the latest of its number and has ended.
        values: of a complete trial.
    """
    state, own, parameters = TrialState.FAIL, None, trial.params
    if record is not None:
        state = TrialState[record.state]
        own = list(values(record)) if state == TrialState.COMPLETE else None
        if state != TrialState.FAIL and record.parameters.keys() == parameters.keys():
            parameters = dict(record.parameters)
    elif "number" not in trial.user_attrs and trial.state != TrialState.RUNNING:
        return trial
    if (trial.state, trial.values, trial.params) == (state, own, parameters):
        return trial
    made = copy.copy(trial)
    made.state, made.values, made.params = state, own, parameters
    made.datetime_complete = trial.datetime_complete or datetime.now()
    return made


def _only_ended(trial: FrozenTrial, wanted: FrozenTrial) -> bool:
    """Whether all that a trial lacks is its end."""
    return trial.state == TrialState.RUNNING and trial.params == wanted.params


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


def prunings_to_start(
    study: Study,
    latest: Mapping[int, int],
    ended: Mapping[int, Record],
    leads: Callable[[Standings, float | None, float | None], bool],
    others: Callable[[Mapping[str, Any], Mapping[str, Any]], list[Point]],
) -> deque[Point]:
    """Prunings of trials that joined the front, without those that started.

    Args:
        study: with the trials of earlier processes.
        latest: the latest ``trial_id`` of each number.
        ended: the trials that ended already, by number, in the order of their ends.
        leads: whether a trial that is complete joins the front, by EER and size.
        others: other prunings of a trial's grown stage, by its parameters and user attributes.
    """
    trials, points, before = study.earlier_trials, deque[Point](), Standings()
    for number, record in ended.items():
        joins = record.state == "COMPLETE" and leads(before, record.eer, record.size)
        before.add(record)
        if joins and number in latest:
            trial = trials[latest[number]]
            points.extendleft(reversed(others(trial.params, trial.user_attrs)))
    started = [(one.params, one.user_attrs["pruning_of"]) for one in trials if "pruning_of" in one.user_attrs]
    return deque(point for point in points if (point[0], point[1]["pruning_of"]) not in started)
