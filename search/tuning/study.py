"""Optuna's study of a run: on the disk all of it, in memory what a sampler still learns from.

Optuna's own journal storage writes, syncs and reads back every parameter by itself, which takes longer than choosing
it, and keeps every trial for ever. Here a trial is one line of the journal when it begins and one when it ends. The
lines are Optuna's, so that its tools show the study. They are not synced: what ended is in the trial log, which is.

A sampler that looked at all trials would take longer and longer. TPE models the best trials, few of them, against all
others, which weigh less the older they are (J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS
2011; weights as in J. Bergstra et al., "Making a Science of Model Search", ICML 2013). So it sees the best and the
latest: the first model stays as it is, the second is drawn from `MEMORY` points or more. NSGA-II breeds from the best.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.runs import pareto
from search.runs.trial_log import drop_cut_off_line

NAME = "search"
MEMORY = 500
"""So many of the latest trials are never forgotten; up to as many more are in memory, and those that run."""
BEST = 100
"""So many of the best trials are never forgotten: about as many as TPE counts among the good ones of those it sees."""
PRIVATE = "tpe:relative_params"
"""How system attributes begin that samplers need of running trials only."""
CREATE_TRIAL, SET_TRIAL_STATE_VALUES = 4, 6
"""Operations of Optuna's journal."""


class Study:
    """Trials as Optuna knows them. A trial's place is that of its line among the trials of the journal, from 0.

    Attributes:
        past: the trials of earlier processes, by place.
        asked: how many trials were asked for; those asked for ``again`` (an attribute) do not count twice.
        space: parameters that all ended trials in memory have, kept up to date as trials end.
    """

    def __init__(self, journal: Path, objectives: int = 1) -> None:
        """Open the study, or begin one; a last line of the journal that was cut off is removed.

        Args:
            journal: its file.
            objectives: how many values a trial has, all to be made small.
        """
        self._directions = [StudyDirection.MINIMIZE] * objectives
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        drop_cut_off_line(journal)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        stored = optuna.create_study(storage=storage, study_name=NAME, directions=self._directions, load_if_exists=True)
        self.past = stored.get_trials(deepcopy=False)
        self.asked = sum("again" not in trial.user_attrs for trial in self.past)
        self._places = len(self.past)
        self._journal = journal
        self._running: dict[int, int] = {}
        self._remember(())

    def settle(self, place: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Say how a trial of the past ended that the journal calls running."""
        trial = self.past[place]
        self._write_end(place, state, values)
        self.past[place] = create_trial(
            state=state,
            values=values,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=trial.user_attrs,
            system_attrs=trial.system_attrs,
        )

    def add(self, trial: FrozenTrial, values: Sequence[float], attributes: Mapping[str, Any]) -> None:
        """Let samplers learn from a complete trial of another study, worth these values; before `learn`."""
        own = create_trial(
            values=values, params=trial.params, distributions=trial.distributions, user_attrs=dict(attributes)
        )
        self._write_trial(own, TrialState.COMPLETE, attributes, {}, values)
        self.past.append(own)

    def learn(self) -> None:
        """Take what a sampler learns from out of `past`, all of which has ended, and drop the rest."""
        self._remember(self.past)
        self.past = []

    def ask(self, sampler: BaseSampler, point: Mapping[str, Any] | None = None) -> optuna.Trial:
        """A trial whose parameters `sampler` chooses, those of `point` excepted; `begin` or `refuse` it next."""
        self._memory.sampler = sampler
        if point is not None:
            self._memory.enqueue_trial(dict(point))
        return self._memory.ask()

    def begin(self, trial: optuna.Trial, attributes: Mapping[str, Any]) -> int:
        """Write down that a trial with these attributes (JSON types) runs; returns its place."""
        place = self._write_trial(trial, TrialState.RUNNING, attributes, self._system_attributes(trial))
        self._running[place] = trial.number
        return place

    def refuse(self, trial: optuna.Trial, state: TrialState, attributes: Mapping[str, Any]) -> None:
        """Write down that a trial is not run; `state` is what samplers make of it."""
        self._write_trial(trial, state, attributes, self._system_attributes(trial))
        self._memory.tell(trial, state=state)
        self._forget()

    def end(self, place: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Write down how a trial ended, and let samplers know."""
        self._write_end(place, state, values)
        self._memory.tell(self._running.pop(place), values, state=state)
        self._forget()

    def end_as(
        self, place: int, params: Mapping[str, Any], values: Sequence[float], attributes: Mapping[str, Any]
    ) -> None:
        """Write down that a trial is complete, having done what other parameters of the same names stand for."""
        asked = self._memory.get_trials(deepcopy=False)[self._running[place]]
        system = {name: value for name, value in asked.system_attrs.items() if not name.startswith(PRIVATE)}
        done = create_trial(
            values=values,
            params=dict(params),
            distributions=asked.distributions,
            user_attrs=dict(attributes),
            system_attrs=system,  # without them NSGA-II would not count it to its generation before a resume
        )
        self.end(place, TrialState.FAIL, None)  # which samplers pass over
        self._write_trial(done, TrialState.COMPLETE, attributes, system, values)
        self._memory.add_trial(done)

    def _forget(self) -> None:
        trials = self._memory.get_trials(deepcopy=False)
        if len(trials) >= self._full:
            self._remember(trials)

    def _remember(self, trials: Sequence[FrozenTrial]) -> None:
        """Begin the memory anew, with those of these trials that are worth it and those that run."""
        kept = remembered(trials)
        self._memory = optuna.create_study(directions=self._directions)
        self._memory.add_trials(kept)
        for number, (place, before) in enumerate(self._running.items(), len(kept)):
            self._memory.add_trial(trials[before])
            self._running[place] = number
        self._full = len(kept) + len(self._running) + MEMORY
        self.space = IntersectionSearchSpace(include_pruned=True)

    def _system_attributes(self, trial: optuna.Trial) -> dict[str, Any]:
        """Constraints, and a genetic sampler's generation."""
        found = self._memory.get_trials(deepcopy=False)[trial.number].system_attrs
        return {name: value for name, value in found.items() if not name.startswith(PRIVATE)}

    def _write_trial(
        self,
        trial: optuna.Trial | FrozenTrial,
        state: TrialState,
        attributes: Mapping[str, Any],
        system: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> int:
        time, params, distributions = _now(), trial.params, trial.distributions
        self._write(
            {
                "op_code": CREATE_TRIAL,
                "study_id": 0,
                "state": state,
                "value": None,
                "values": None if values is None else list(values),
                "datetime_start": time,
                **({"datetime_complete": time} if state.is_finished() else {}),
                "distributions": {name: distribution_to_json(one) for name, one in distributions.items()},
                "params": {name: one.to_internal_repr(params[name]) for name, one in distributions.items()},
                "user_attrs": dict(attributes),
                "system_attrs": dict(system),
                "intermediate_values": {},
            }
        )
        self.asked += "again" not in attributes
        self._places += 1
        return self._places - 1

    def _write_end(self, place: int, state: TrialState, values: Sequence[float] | None) -> None:
        kept = None if values is None else list(values)
        end = {"trial_id": place, "state": state, "values": kept, "datetime_complete": _now()}
        self._write({"op_code": SET_TRIAL_STATE_VALUES, **end})

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._journal.open("ab") as file:
            file.write(json.dumps({**line, "worker_id": NAME}, separators=(",", ":")).encode() + b"\n")


def remembered(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Of these trials those that a sampler still learns from, in their order; failed and running ones are left out."""
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    rated = [(index, trial.values) for index, trial in enumerate(ended) if trial.values is not None]
    kept = set(range(max(0, len(ended) - MEMORY), len(ended)))
    if rated:
        ranks = pareto.ranks(np.array([values for _, values in rated]))
        kept |= {rated[place][0] for place in np.argsort(ranks, kind="stable")[:BEST]}
    return [ended[index] for index in sorted(kept)]


def _now() -> str:
    return datetime.now(tz=timezone.utc).isoformat(timespec="microseconds")
