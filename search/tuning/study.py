"""Optuna's study of a run: all of it on the disk, and in memory what a sampler still learns from.

A study that asked for trials in a journal storage would write every parameter by itself and read it back, which takes
longer than choosing it. So samplers see a study in memory, and a trial is one line of the journal when it begins and
one when it ends. What the journal storage keeps of a trial for as long as the process runs is about 8 kB.

A sampler that saw all trials would take longer and longer. TPE models the best trials, few of them, against all others,
which weigh less the older they are (J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011;
weights as in J. Bergstra et al., "Making a Science of Model Search", ICML 2013). So it sees the best and the latest:
the first model is the same as of all trials, the second is fitted to `LATEST` points or more. NSGA-II selects the best.
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
LATEST = 500
"""So many of the latest trials always stay in memory; up to as many more do for a while, and those that run."""
BEST = 100
"""So many of the best trials always stay in memory: about as many as TPE takes for good ones of those it sees."""
PRIVATE = "tpe:relative_params"
"""How system attributes begin that samplers need of running trials only."""


class Study:
    """The trials of a run, by their ``trial_id`` in the journal, which counts from 0.

    Attributes:
        earlier_trials: the trials of earlier processes, by ``trial_id``.
        asked: how many trials were asked for; those that are ``rescheduled`` (a user attribute) do not count twice.
        file: what writes the journal.
        space: parameters that all ended trials in memory have, kept up to date as trials end.
    """

    def __init__(self, journal: Path, objectives: int = 1) -> None:
        """Open the study, or create it; a last line of the journal that was cut off is removed.

        Args:
            journal: its file.
            objectives: how many values a trial has, all to be minimized.
        """
        self._directions = [StudyDirection.MINIMIZE] * objectives
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        backend = SingleWriterBackend(journal)
        self.file = backend.file
        self._storage = JournalStorage(backend)
        stored = optuna.create_study(
            storage=self._storage, study_name=NAME, directions=self._directions, load_if_exists=True
        )
        self._study_id = self._storage.get_study_id_from_name(NAME)
        self.earlier_trials = stored.get_trials(deepcopy=False)
        self.asked = sum("rescheduled" not in trial.user_attrs for trial in self.earlier_trials)
        self._running: dict[int, int] = {}  # number in memory by trial_id
        self._reset_memory(())

    def tell_earlier(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Record how an earlier trial ended that the journal calls running; before `load_earlier_trials`."""
        self._storage.set_trial_state_values(trial_id, state, values)
        self.earlier_trials[trial_id] = self._storage.get_trial(trial_id)

    def add_trial(self, trial: FrozenTrial, values: Sequence[float], attributes: Mapping[str, Any]) -> None:
        """Add a complete trial of another study with these values; before `load_earlier_trials`."""
        # Without its system attributes: constraints and generations are those of its own study.
        own = create_trial(
            values=values, params=trial.params, distributions=trial.distributions, user_attrs=dict(attributes)
        )
        self.earlier_trials.append(self._storage.get_trial(self._create(own)))

    def load_earlier_trials(self) -> None:
        """Load into memory what a sampler learns from of the earlier trials, all of which have ended; drop the rest."""
        self._reset_memory(self.earlier_trials)
        self.earlier_trials = []

    def ask(self, sampler: BaseSampler, point: Mapping[str, Any] | None = None) -> optuna.Trial:
        """A trial whose parameters `sampler` suggests, but for those of `point`; `start` or `reject` it next."""
        self._memory.sampler = sampler
        if point is not None:
            self._memory.enqueue_trial(dict(point))
        return self._memory.ask()

    def start(self, trial: optuna.Trial, attributes: Mapping[str, Any]) -> int:
        """Record that a trial with these user attributes (JSON types) runs; returns its ``trial_id``."""
        trial_id = self._create(_template(self._suggested(trial.number), TrialState.RUNNING, attributes))
        self._running[trial_id] = trial.number
        return trial_id

    def reject(self, trial: optuna.Trial, state: TrialState, attributes: Mapping[str, Any]) -> None:
        """Record that a trial does not run; `state` is what samplers see."""
        self._create(_template(self._suggested(trial.number), state, attributes))
        self._memory.tell(trial, state=state)
        self._trim_memory()

    def tell(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Record how a trial ended."""
        self._storage.set_trial_state_values(trial_id, state, values)
        self._memory.tell(self._running.pop(trial_id), values, state=state)
        self._trim_memory()

    def tell_with_params(
        self, trial_id: int, params: Mapping[str, Any], values: Sequence[float], attributes: Mapping[str, Any]
    ) -> None:
        """Record that a trial is complete, and that it used other values of its parameters than those suggested."""
        suggested = self._suggested(self._running[trial_id])
        complete = _template(suggested, TrialState.COMPLETE, attributes, values, params)
        self.tell(trial_id, TrialState.FAIL, None)  # which samplers skip
        self._create(complete)
        # With its system attributes, or NSGA-II would not count it to its generation before a resume.
        self._memory.add_trial(complete)

    def _trim_memory(self) -> None:
        trials = self._memory.get_trials(deepcopy=False)
        if len(trials) >= self._full:
            self._reset_memory(trials)

    def _reset_memory(self, trials: Sequence[FrozenTrial]) -> None:
        """Create the study in memory anew, with `trials_to_keep` of these and those that run."""
        kept = trials_to_keep(trials)
        self._memory = optuna.create_study(directions=self._directions)
        self._memory.add_trials(kept)
        for number, (trial_id, before) in enumerate(self._running.items(), len(kept)):
            self._memory.add_trial(trials[before])
            self._running[trial_id] = number
        self._full = len(kept) + len(self._running) + LATEST
        self.space = IntersectionSearchSpace(include_pruned=True)

    def _suggested(self, number: int) -> FrozenTrial:
        """A trial of the study in memory; `optuna.Trial` would copy every parameter each time that it is asked."""
        return self._memory.get_trials(deepcopy=False)[number]

    def _create(self, template: FrozenTrial) -> int:
        """Write a trial into the journal; returns its ``trial_id``."""
        self.asked += "rescheduled" not in template.user_attrs
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


def trials_to_keep(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of these trials that a sampler still learns from, in their order; failed and running ones are skipped."""
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    complete = [(index, trial.values) for index, trial in enumerate(ended) if trial.values is not None]
    kept = set(range(max(0, len(ended) - LATEST), len(ended)))
    if complete:
        ranks = pareto.ranks(np.array([values for _, values in complete]))
        kept |= {complete[position][0] for position in np.argsort(ranks, kind="stable")[:BEST]}
    return [ended[index] for index in sorted(kept)]
