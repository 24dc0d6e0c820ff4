"""Optuna's study of a run: on the disk all of it, in memory what a sampler still learns from.

A study that asked for trials in a journal storage would write every parameter by itself and read it back, which takes
longer than choosing it. So samplers see a study in memory, and a trial is one line of the journal when it begins and
one when it ends. What the journal storage keeps of a trial for as long as the process runs is about 8 kB.

A sampler that looked at all trials would take longer and longer. TPE models the best trials, few of them, against all
others, which weigh less the older they are (J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS
2011; weights as in J. Bergstra et al., "Making a Science of Model Search", ICML 2013). So it sees the best and the
latest: the first model stays as it is, the second is drawn from `MEMORY` points or more. NSGA-II breeds from the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.runs import pareto
from search.tuning.journal import SingleWriterBackend

NAME = "search"
MEMORY = 500
"""So many of the latest trials are never forgotten; up to as many more are in memory, and those that run."""
BEST = 100
"""So many of the best trials are never forgotten: about as many as TPE counts among the good ones of those it sees."""
PRIVATE = "tpe:relative_params"
"""How system attributes begin that samplers need of running trials only."""


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
        self._storage = JournalStorage(SingleWriterBackend(journal))
        stored = optuna.create_study(
            storage=self._storage, study_name=NAME, directions=self._directions, load_if_exists=True
        )
        self._study_id = self._storage.get_study_id_from_name(NAME)
        self.past = stored.get_trials(deepcopy=False)
        self.asked = sum("again" not in trial.user_attrs for trial in self.past)
        self._running: dict[int, int] = {}
        self._remember(())

    def settle(self, place: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Say how a trial of the past ended that the journal calls running."""
        self._storage.set_trial_state_values(place, state, values)
        self.past[place] = self._storage.get_trial(place)

    def add(self, trial: FrozenTrial, values: Sequence[float], attributes: Mapping[str, Any]) -> None:
        """Let samplers learn from a complete trial of another study, worth these values; before `learn`."""
        # Without its system attributes: limits and generations are those of its own study.
        own = create_trial(
            values=values, params=trial.params, distributions=trial.distributions, user_attrs=dict(attributes)
        )
        self.past.append(self._storage.get_trial(self._create(own)))

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
        place = self._create(_template(self._suggested(trial.number), TrialState.RUNNING, attributes))
        self._running[place] = trial.number
        return place

    def refuse(self, trial: optuna.Trial, state: TrialState, attributes: Mapping[str, Any]) -> None:
        """Write down that a trial is not run; `state` is what samplers make of it."""
        self._create(_template(self._suggested(trial.number), state, attributes))
        self._memory.tell(trial, state=state)
        self._forget()

    def end(self, place: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Write down how a trial ended, and let samplers know."""
        self._storage.set_trial_state_values(place, state, values)
        self._memory.tell(self._running.pop(place), values, state=state)
        self._forget()

    def end_as(
        self, place: int, params: Mapping[str, Any], values: Sequence[float], attributes: Mapping[str, Any]
    ) -> None:
        """Write down that a trial is complete, having done what other parameters of the same names stand for."""
        suggested = self._suggested(self._running[place])
        done = _template(suggested, TrialState.COMPLETE, attributes, values, params)
        self.end(place, TrialState.FAIL, None)  # which samplers pass over
        self._create(done)
        # With its system attributes, or NSGA-II would not count it to its generation before a resume.
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

    def _suggested(self, number: int) -> FrozenTrial:
        """A trial of the study in memory; `optuna.Trial` would copy every parameter each time that it is asked."""
        return self._memory.get_trials(deepcopy=False)[number]

    def _create(self, template: FrozenTrial) -> int:
        """Write a trial into the journal; returns its place."""
        self.asked += "again" not in template.user_attrs
        return self._storage.create_new_trial(self._study_id, template)


def _template(
    trial: FrozenTrial,
    state: TrialState,
    attributes: Mapping[str, Any],
    values: Sequence[float] | None = None,
    params: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """A trial as the journal keeps it: with what samplers need of ended ones, constraints and the generation."""
    return create_trial(
        state=state,
        values=values,
        params=dict(trial.params if params is None else params),
        distributions=trial.distributions,
        user_attrs=dict(attributes),
        system_attrs={name: value for name, value in trial.system_attrs.items() if not name.startswith(PRIVATE)},
    )


def remembered(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Of these trials those that a sampler still learns from, in their order; failed and running ones are left out."""
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    rated = [(index, trial.values) for index, trial in enumerate(ended) if trial.values is not None]
    kept = set(range(max(0, len(ended) - MEMORY), len(ended)))
    if rated:
        ranks = pareto.ranks(np.array([values for _, values in rated]))
        kept |= {rated[place][0] for place in np.argsort(ranks, kind="stable")[:BEST]}
    return [ended[index] for index in sorted(kept)]
