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

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.runs import pareto
from search.tuning.journal import WRONG, Damaged, ReadingBackend, SingleWriterBackend, set_aside, storage_of

NAME = "search"
LATEST = 500
"""So many of the latest trials always stay in memory; up to as many more do for a while, and those that run."""
BEST = 100
"""So many of the best trials always stay in memory: about as many as TPE takes for good ones of those it sees."""
PRIVATE = "tpe:relative_params"
"""How system attributes begin that samplers need of running trials only."""

NOTED, GENERATION = "constraints:", ":generation"
"""How system attributes begin or end that samplers need of ended trials."""


class Study:
    """The trials of a run, by their ``trial_id`` in the journal, which counts from 0.

    Attributes:
        earlier_trials: the trials of earlier processes, by ``trial_id``.
        asked: how many trials were asked for; those that are ``rescheduled`` (a user attribute) do not count twice.
        file: what writes the journal.
        space: parameters that all ended trials in memory have, kept up to date as trials end.
        damage: why the journal could not be read and where it is now, or ``None``; then the study is a new one.
    """

    def __init__(self, journal: Path, objectives: int = 1) -> None:
        """Open the study, or create it; a last line of the journal that was cut off is removed.

        Args:
            journal: its file.
            objectives: how many values a trial has, all to be minimized.
        """
        self._directions = [StudyDirection.MINIMIZE] * objectives
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.damage: str | None = None
        try:
            self._open(journal)
        except Damaged as error:
            self.damage = f"{error}; it is now {set_aside(journal).name}"
            self._open(journal)
        self._running: dict[int, int] = {}  # number in memory by trial_id
        self._reset_memory(())

    def rewrite(self, trials: Sequence[FrozenTrial]) -> None:
        """Make these the earlier trials, and nothing else; before `load_earlier_trials`.

        Raises:
            OSError: the journal cannot be written; it is as it was.
        """
        part = self._journal.with_name(self._journal.name + ".part")
        part.unlink(missing_ok=True)
        again = Study(part, len(self._directions))
        for trial in trials:
            again._create(trial)
        if (error := again.file.flush()) is not None:
            raise error
        os.replace(part, self._journal)
        self._open(self._journal)

    def _open(self, journal: Path) -> None:
        """Read the study from its journal, or create it there.

        Raises:
            Damaged: the journal is not one of such a study.
        """
        backend = SingleWriterBackend(journal)
        self._journal, self.file, self._storage = journal, backend.file, storage_of(backend, journal)
        studies, objectives = self._storage.get_all_studies(), len(self._directions)
        if not studies:
            self._storage.create_new_study(self._directions, NAME)
        elif [(one.study_name, one.directions) for one in studies] != [(NAME, self._directions)]:
            raise Damaged(f"{journal} must hold one study, {NAME!r}, with {objectives} objectives; it holds others")
        self._study_id = self._storage.get_study_id_from_name(NAME)
        self.earlier_trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        for trial in self.earlier_trials:
            if not _is_sound(trial, objectives):
                raise Damaged(f"{journal} must hold trials of the search; got one with {trial.params!r:.80}")
        self.asked = sum("rescheduled" not in trial.user_attrs for trial in self.earlier_trials)

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
        self.add_earlier(own)

    def add_earlier(self, trial: FrozenTrial) -> None:
        """Add a trial that has ended; before `load_earlier_trials`."""
        self.earlier_trials.append(self._storage.get_trial(self._create(trial)))

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
        self,
        trial_id: int,
        params: Mapping[str, Any],
        values: Sequence[float] | None,
        attributes: Mapping[str, Any],
        state: TrialState = TrialState.COMPLETE,
    ) -> None:
        """Record how a trial ended, and that it used other values of its parameters than those suggested."""
        suggested = self._suggested(self._running[trial_id])
        used = _template(suggested, state, attributes, values, params)
        self.tell(trial_id, TrialState.FAIL, None)  # which samplers skip
        self._create(used)
        # With its system attributes, or NSGA-II would not count it to its generation before a resume.
        self._memory.add_trial(used)

    def noted(self, trial: optuna.Trial) -> dict[str, Any]:
        """What samplers noted of a trial and need after it has ended: constraints, and its generation."""
        attributes = self._suggested(trial.number).system_attrs
        return {
            name: value for name, value in attributes.items() if name.startswith(NOTED) or name.endswith(GENERATION)
        }

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


def load(journal: Path) -> optuna.Study:
    """A study whose journal is only read, also that of a run that goes on.

    Raises:
        Damaged: the journal cannot be read, or holds no study.
        OSError: there is no file, or it may not be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = storage_of(ReadingBackend(journal), journal)
    if NAME not in [one.study_name for one in storage.get_all_studies()]:
        raise Damaged(f"{journal} must hold the study {NAME!r}; it holds none, as if it had been cut")
    return optuna.load_study(study_name=NAME, storage=storage)


def _is_sound(trial: FrozenTrial, objectives: int) -> bool:
    """Whether a trial that was read can be one of this project's."""
    try:
        number = trial.user_attrs.get("number", 0)
        constraints = list(trial.constraints.values())
        # This checks that parameters are within their ranges.
        create_trial(state=trial.state, values=trial.values, params=trial.params, distributions=trial.distributions)
        known = trial.values is None or len(trial.values) == objectives
        return known and type(number) is int and number >= 0 and all(map(math.isfinite, constraints))
    except WRONG:
        return False


def trials_to_keep(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of these trials that a sampler still learns from, in their order; failed and running ones are skipped."""
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    complete = [(index, trial.values) for index, trial in enumerate(ended) if trial.values is not None]
    kept = set(range(max(0, len(ended) - LATEST), len(ended)))
    if complete:
        ranks = pareto.ranks(np.array([values for _, values in complete]))
        kept |= {complete[position][0] for position in np.argsort(ranks, kind="stable")[:BEST]}
    return [ended[index] for index in sorted(kept)]
