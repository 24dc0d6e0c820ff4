"""A searcher of Ray Tune that asks Optuna: for plans, for resumed runs and for trials that fail.

Ray's own OptunaSearch reports a stopped trial as complete at its last value, leaves one that ended in NaN running for
ever, cannot start from plans that are no points of the space, rejects no plan, and saves itself by pickling.

Each trial is suggested by a sampler with a seed of its own, made from the run's seed and the number of trials that were
asked for before, so that a resumed run suggests what it would have without the interruption. Trials that were running
then are rescheduled, and not counted again.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.runs.append_only import AppendOnlyFile
from search.runs.front import Standings
from search.runs.record import Record
from search.tuning import objective, record_trial, resume
from search.tuning.feasibility import Feasibility
from search.tuning.resume import Point
from search.tuning.samplers import make_sampler
from search.tuning.space_check import check_compatible
from search.tuning.study import Study
from search.tuning.warm_start import WarmStartTrial
from spaces.recipes import is_recipe

METRIC = "best_weighted_eer"
OBJECTIVES: Mapping[str, tuple[str, ...]] = {"weighted": (METRIC,), "pareto": ("best_eer", "size")}
"""What each ``--objective`` minimizes, by the names of results."""
MAX_REJECTED = 200
"""So many plans in a row are rejected before no more are asked for."""

Plan = dict[str, Any]
logger = logging.getLogger(__name__)


class _Running(NamedTuple):
    """A running trial, its ``trial_id`` in the study, if it is there, and what is noted there: recipes are not."""

    number: int
    recipe: str | None
    plan: Plan
    trial_id: int | None = None
    parameters: Mapping[str, Any] = MappingProxyType({})
    attributes: Mapping[str, Any] = MappingProxyType({})
    noted: Mapping[str, Any] = MappingProxyType({})


class PlanSearch(Searcher):
    """Suggests recipes, then the plans of interrupted trials, initial points, and what Optuna's sampler suggests.

    A trial's configuration is a `trainables.messages.TrialConfig`; exempt trials are not stopped early.

    Attributes:
        skipped_recipes: why a recipe is not tried, by its name.
        exhausted: why no more plans are asked for, or ``None``.
        repaired: what was wrong with the study that was found, and what was made of it, or ``None``.
        max_trials: how many trials are suggested, those that are rescheduled counted once; ``None`` for no limit.
        has_room: asked before a trial is suggested; without room none is, for the time being.
    """

    max_trials: int | None = None
    has_room: Callable[[], bool] | None = None

    def __init__(
        self,
        space: Callable[[optuna.Trial], Plan],
        *,
        job: Mapping[str, Any],
        journal: Path,
        ended: Mapping[int, Record],
        standings: Standings,
        recipes: Mapping[str, Plan],
        initial_points: Mapping[str, Mapping[str, Any]],
        check_feasibility: Callable[[Plan], Feasibility],
        sampler: str,
        seed: int,
        startup: int = 10,
        objective: str = "weighted",
        warm_start: Sequence[WarmStartTrial] = (),
        prunings: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] | None = None,
        name: Callable[[int, str | None, Plan], str] | None = None,
    ) -> None:
        """Open or create the study, and end the trials in it that an earlier process left running.

        Args:
            space: suggests the parameters of a trial and returns its plan.
            job: what is the same for all trials.
            journal: file of the study.
            ended: the trials that ended already, by number.
            standings: how the run's trials stand, kept up to date elsewhere after a trial was completed here.
            recipes: plans to try first, by name; recipe i is trial i, unless another trial of an earlier process is.
            initial_points: points of the space to try next, by name.
            check_feasibility: says what is known of a plan.
            sampler: one of `search.settings.options.SAMPLERS`.
            seed: the run's seed.
            startup: trials that are sampled at random before a sampler learns; a generation of nsga2.
            objective: a name of `OBJECTIVES`.
            warm_start: trials of other runs to learn from.
            prunings: from the parameters of a trial to those of others that cut the same grown stage otherwise; they
                are tried next where a trial turns out to be on the front.
            name: the name of a trial, from its number, its recipe's name and its plan.

        Raises:
            DropinError: trials of this run were chosen from the space of another version.
        """
        super().__init__(metric=METRIC, mode="min")
        self.objectives = OBJECTIVES[objective]
        self._study = Study(journal, len(self.objectives))
        self._space = space
        for trial in self._study.earlier_trials[-1:]:
            check_compatible(space, trial, "the latest trial of this run")
        self.exhausted: str | None = None
        self.repaired: str | None = None
        self._job, self._check_feasibility = dict(job), check_feasibility
        self._make_sampler = partial(make_sampler, sampler, seed, startup=startup)
        self._prunings = prunings or (lambda parameters: ())
        self._name = name or (lambda number, recipe, plan: f"trial-{number}")
        self._running: dict[str, _Running] = {}
        self._failed: dict[int, _Running] = {}
        self._suggested: set[int] = set()
        self._standings = standings
        self._chosen_at_cuts = job.get("prunings_per_growth", 1) > 1
        self._plans = {self._plan_key(record.plan, record.recipe): record.number for record in ended.values()}
        reasons = {name: check_feasibility(plan).reason for name, plan in recipes.items()}
        self.skipped_recipes = {name: reason for name, reason in reasons.items() if reason}
        numbers = _recipe_numbers(recipes, ended)
        self._recipes = deque(
            _Running(number, name, recipes[name])
            for name, number in numbers.items()
            if number not in ended and name not in self.skipped_recipes
        )
        self._next_number = max([-1, *numbers.values(), *ended]) + 1
        known = {trial.user_attrs.get("recipe") for trial in self._study.earlier_trials}
        known |= {record.recipe for record in ended.values()}
        self._points = self._load_study(ended, warm_start)
        self._points.extend(
            (dict(point), {"recipe": name}) for name, point in initial_points.items() if name not in known
        )

    @property
    def file(self) -> AppendOnlyFile:
        """What writes the study's journal."""
        return self._study.file

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's configuration, ``None`` for none as yet, or ``Searcher.FINISHED``.

        It is finished when `max_trials` were suggested, or `MAX_REJECTED` plans in a row were rejected, and none runs
        that may be rescheduled.
        """
        finished: Any = Searcher.FINISHED  # a str where the signature wants a dict
        if self.has_room is not None and not self.has_room():
            return None
        enough = self.max_trials is not None and len(self._suggested) >= self.max_trials
        trial = None if enough else self._recipes.popleft() if self._recipes else self._ask()
        if trial is None:
            return None if self._running else finished
        self._running[trial_id] = trial
        self._suggested.add(trial.number)
        return self._config(trial)

    def reschedule(self, number: int) -> None:
        """Suggest a trial once more that was reported as failed, since only its worker was lost."""
        failed = self._failed.pop(number)
        self._suggested.discard(number)
        self._plans = {key: other for key, other in self._plans.items() if other != number}
        if failed.trial_id is None:
            self._recipes.appendleft(failed)
        else:
            self._points.appendleft((dict(failed.parameters), {**failed.attributes, "rescheduled": True}))

    def _ask(self) -> _Running | None:
        """A trial of Optuna's, or ``None`` when `MAX_REJECTED` in a row were rejected; then only points are tried."""
        reason = None
        for _ in range(MAX_REJECTED):
            if self.exhausted is not None and not self._points:
                return None
            point, attributes = self._points.popleft() if self._points else (None, {})
            trial = self._study.ask(self._make_sampler(self._study.asked, space=self._study.space), point)
            plan = self._space(trial)
            if (duplicate := self._plans.get(self._plan_key(plan))) is not None:
                # The same plan would give the same detector. Samplers skip trials that are FAIL.
                reason, state = f"same plan as trial {duplicate}", TrialState.FAIL
            else:
                feasibility = self._check_feasibility(plan)
                if feasibility.violation is not None:
                    trial.set_constraint("parameters", feasibility.violation)
                if feasibility.reason is None:
                    return self._start(trial, plan, attributes)
                # PRUNED without a value: to the sampler it is worse than any trial that ran.
                reason, state = feasibility.reason, TrialState.PRUNED
            self._study.reject(trial, state, {**attributes, "rejected": reason})
        self.exhausted = f"{MAX_REJECTED} plans in a row were rejected, the last because: {reason}"
        logger.warning(self.exhausted)
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how a trial ended. Recipes are not in the study."""
        running, result = self._running.pop(trial_id, None), result or {}
        if running is None:
            return
        if error:
            self._failed[running.number] = running
        told = objective.values_of(self.objectives, result)
        state, values = objective.optuna_state_and_values(ending(result, error), told)
        leads = state == TrialState.COMPLETE and _leads(self._standings, result.get("best_eer"), result.get("size"))
        if running.trial_id is None:
            return
        parameters = objective.used_parameters(running.parameters, running.plan, result)
        if state == TrialState.FAIL or parameters == running.parameters:
            self._study.tell(running.trial_id, state, values)
        else:
            self._study.tell_with_params(running.trial_id, parameters, values, running.attributes, state)
        if leads:
            self._points.extendleft(reversed(self._other_prunings(parameters, running.attributes)))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the study's journal and the trial log are what a run is resumed from."""

    def _config(self, trial: _Running) -> dict[str, Any]:
        """A trial's configuration."""
        number, recipe, plan = trial[:3]
        noted = record_trial.attributes(trial.attributes, trial.noted)
        self._plans[self._plan_key(plan, recipe)] = number
        name, exempt = self._name(number, recipe, plan), is_recipe(recipe)
        own = {"plan": copy.deepcopy(plan), "number": number, "name": name, "recipe": recipe, "exempt": exempt}
        return {"job": self._job, **own, "parameters": dict(trial.parameters), "attributes": noted}

    def _start(self, trial: optuna.Trial, plan: Plan, attributes: Mapping[str, Any]) -> _Running:
        number = attributes.get("number", self._next_number)
        self._next_number = max(self._next_number, number + 1)
        attributes = {**attributes, "number": number, "asked": attributes.get("asked", self._study.asked)}
        trial_id = self._study.start(trial, attributes)
        noted = self._study.noted(trial)
        return _Running(number, attributes.get("recipe"), plan, trial_id, trial.params, attributes, noted)

    def _plan_key(self, plan: Mapping[str, Any], recipe: str | None = None) -> bytes:
        """The same for plans that give the same detector: the criterion that a plan names counts only if it is used."""
        ignored = "criterion" if self._chosen_at_cuts and not is_recipe(recipe) else None
        compared = {name: value for name, value in plan.items() if name != ignored}
        return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).digest()

    def _other_prunings(self, parameters: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[Point]:
        """Other prunings of a trial's grown stage, which may be one itself."""
        return [(dict(other), {"pruning_of": attributes["number"]}) for other in self._prunings(parameters)]

    def _load_study(self, ended: Mapping[int, Record], warm_start: Sequence[WarmStartTrial]) -> deque[Point]:
        """Make the study agree with the trial log, and add trials of other runs.

        Returns:
            Trials that started but did not end, then the prunings that had not started.

        Raises:
            DropinError: a trial of the log is no point of the space.
        """
        values = partial(objective.values_of_record, self.objectives)
        latest = resume.agree(self._study, ended, self._space, values)
        self._next_number = max([self._next_number, *(number + 1 for number in latest)])
        resume.add_warm_start(self._study, warm_start, values)
        points = resume.prunings_to_start(self._study, latest, ended, _leads, self._other_prunings)
        points.extendleft(reversed(resume.interrupted(self._study, latest, ended)))
        if self._study.damage is not None:
            self.repaired = f"{self._study.damage}. A new study has {len(latest)} trials of the trial log"
            logger.warning(self.repaired)
        self._study.load_earlier_trials()
        return points


def _recipe_numbers(recipes: Mapping[str, Plan], ended: Mapping[int, Record]) -> dict[str, int]:
    """The number of each recipe's trial: that of the trial of this name, if it has ended, or else one that is free."""
    known = {record.recipe: number for number, record in ended.items() if record.recipe in recipes}
    free = (number for number in itertools.count() if number not in ended)
    return {name: known[name] if name in known else next(free) for name in recipes}


def _leads(standings: Standings, eer: float | None, size: float | None) -> bool:
    """Whether a trial that is complete joins the front of EER and size, with sizes on the sampler's grid."""
    return eer is not None and size is not None and standings.leads(eer, size, objective.size_on_grid)


def ending(result: Mapping[str, Any] | None, error: bool) -> objective.Ending:
    """How a trial ended, from its last result and whether it raised."""
    if error or not result or result.get("epoch") is None or "failed" in result:
        return "failed"
    return "finished" if result["epoch"] >= result["epochs"] else "stopped"
