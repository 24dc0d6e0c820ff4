"""Who chooses the next plan: a searcher of Ray Tune that asks Optuna, for plans, resumed runs and trials that fail.

Ray's own OptunaSearch reports a stopped trial as complete at its last value, leaves one that ended in NaN running for
ever, cannot start from plans that are no points of the space, refuses nothing, and saves itself by pickling.

Every ask takes a sampler with a seed of its own, made from the run's seed and the number of trials that were asked for
before, so that a resumed run chooses as if it had gone on. What was under way is asked for again, and not counted.
"""

from __future__ import annotations

import copy
import hashlib
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

from search.runs.record import Record
from search.tuning import objective
from search.tuning.feasibility import Feasibility
from search.tuning.samplers import make_sampler
from search.tuning.space_check import check_compatible
from search.tuning.study import Study
from search.tuning.warm_start import EarlierTrial
from spaces.recipes import is_recipe

METRIC = "best_weighted_eer"
OBJECTIVES: Mapping[str, tuple[str, ...]] = {"weighted": (METRIC,), "pareto": ("best_eer", "size")}
"""What each ``--objective`` makes small, by the names of results."""
TRIES = 200
"""How many plans in a row may be refused before the search gives up asking."""

Plan = dict[str, Any]
_Point = tuple[dict[str, Any] | None, dict[str, Any]]
"""Parameters to enqueue, if any, and attributes of the trial."""
logger = logging.getLogger(__name__)


class _Running(NamedTuple):
    """A trial under way, and where it is in the study, if it is there: recipes are not."""

    number: int
    recipe: str | None
    plan: Plan
    place: int | None = None
    parameters: Mapping[str, Any] = MappingProxyType({})
    attributes: Mapping[str, Any] = MappingProxyType({})


class PlanSearch(Searcher):
    """Hands out recipes, then the plans of interrupted trials, initial_points, and what Optuna chooses.

    What a trial gets is ``{"job", "plan", "number", "name", "recipe", "exempt"}``; who is exempt is not stopped early.

    Attributes:
        left_out: why a recipe is not tried, by its name.
        gave_up: why no more plans are asked for, or ``None``.
        most: how many trials are handed out, those `again` not counted twice; ``None`` for no end.
    """

    most: int | None = None

    def __init__(
        self,
        space: Callable[[optuna.Trial], Plan],
        *,
        job: Mapping[str, Any],
        journal: Path,
        ended: Mapping[int, Record],
        recipes: Mapping[str, Plan],
        initial_points: Mapping[str, Mapping[str, Any]],
        check_feasibility: Callable[[Plan], Feasibility],
        sampler: str,
        seed: int,
        startup: int = 10,
        objective: str = "weighted",
        warm: Sequence[EarlierTrial] = (),
        prunings: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] | None = None,
        name: Callable[[int, str | None, Plan], str] | None = None,
    ) -> None:
        """Open or make the study and settle what an earlier process left.

        Args:
            space: suggests the parameters of a trial and gives its plan.
            job: what is the same for all trials.
            journal: file of the study.
            ended: the trials that ended already, by number.
            recipes: plans to try first, by name; recipe i is trial i.
            initial_points: points of the space to try next, by name.
            check_feasibility: says what is known of a plan.
            sampler: one of `search.settings.command_line.SAMPLERS`.
            seed: the run's seed.
            startup: trials that are drawn at random before a sampler learns; a generation of nsga2.
            objective: a name of `OBJECTIVES`.
            warm: trials of earlier runs to learn from.
            prunings: from the parameters of a trial to those of others that cut the same grown stage otherwise; they
                are tried next where a trial turns out to be on the front.
            name: what people call a trial, from its number, its recipe's name and its plan.

        Raises:
            ValueError: trials of this run were chosen from the space of another version.
        """
        super().__init__(metric=METRIC, mode="min")
        self.objectives = OBJECTIVES[objective]
        self._study = Study(journal, len(self.objectives))
        self._choose = space
        for trial in self._study.past[-1:]:
            check_compatible(space, trial, "the latest trial of this run")
        self.gave_up: str | None = None
        self._job, self._assess = dict(job), check_feasibility
        self._make_sampler = partial(make_sampler, sampler, seed, startup=startup)
        self._prunings = prunings or (lambda parameters: ())
        self._name = name or (lambda number, recipe, plan: f"trial-{number}")
        self._running: dict[str, _Running] = {}
        self._failed: dict[int, _Running] = {}
        self._handed_out: set[int] = set()
        self._front: list[tuple[float, float]] = []
        self._chosen_at_cuts = job.get("prunings_per_growth", 1) > 1
        self._plans = {self._key(record.plan, record.recipe): record.number for record in ended.values()}
        self.left_out = {name: reason for name, plan in recipes.items() if (reason := check_feasibility(plan).refused)}
        self._recipes = deque(
            _Running(i, name, plan)
            for i, (name, plan) in enumerate(recipes.items())
            if i not in ended and name not in self.left_out
        )
        self._next_number = max([len(recipes) - 1, *ended]) + 1
        known = {trial.user_attrs.get("recipe") for trial in self._study.past}
        self._points = self._settle(ended, warm)
        self._points.extend(
            (dict(point), {"recipe": name}) for name, point in initial_points.items() if name not in known
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's configuration, ``None`` for none as yet, or ``Searcher.FINISHED``.

        It is finished when `most` were handed out, or `TRIES` plans in a row were refused, and none may come back.
        """
        finished: Any = Searcher.FINISHED  # a str where the signature wants a dict
        enough = self.most is not None and len(self._handed_out) >= self.most
        chosen = None if enough else self._recipes.popleft() if self._recipes else self._ask()
        if chosen is None:
            return None if self._running else finished
        self._running[trial_id] = chosen
        self._handed_out.add(chosen.number)
        return self._config(chosen)

    def again(self, number: int) -> None:
        """Hand out a trial once more that was told to have failed, since that was no fault of its own."""
        lost = self._failed.pop(number)
        self._handed_out.discard(number)
        self._plans = {key: other for key, other in self._plans.items() if other != number}
        if lost.place is None:
            self._recipes.appendleft(lost)
        else:
            self._points.appendleft((dict(lost.parameters), {**lost.attributes, "again": True}))

    def _ask(self) -> _Running | None:
        """A plan of Optuna's, or ``None`` when `TRIES` in a row were refused; then only points are left to try."""
        reason = None
        for _ in range(TRIES):
            if self.gave_up is not None and not self._points:
                return None
            point, attributes = self._points.popleft() if self._points else (None, {})
            trial = self._study.ask(self._make_sampler(self._study.asked, space=self._study.space), point)
            plan = self._choose(trial)
            if (twin := self._plans.get(self._key(plan))) is not None:
                # The same plan would give the same detector. FAIL leaves the sampler's idea of the point as it is.
                reason, state = f"same plan as trial {twin}", TrialState.FAIL
            else:
                assessment = self._assess(plan)
                if assessment.over is not None:
                    trial.set_constraint("parameters", assessment.over)
                if assessment.refused is None:
                    return self._adopt(trial, plan, attributes)
                # PRUNED without a value: the sampler takes it as worse than any trial that ran.
                reason, state = assessment.refused, TrialState.PRUNED
            self._study.refuse(trial, state, {**attributes, "refused": reason})
        self.gave_up = f"{TRIES} plans in a row were refused, the last because: {reason}"
        logger.warning(self.gave_up)
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how a trial ended. Recipes are not in the study."""
        running, result = self._running.pop(trial_id, None), result or {}
        if running is None:
            return
        if error:
            self._failed[running.number] = running
        state, values = objective.optuna_state_and_values(ending(result, error), self._values(result))
        leads = state == TrialState.COMPLETE and self._leads(result.get("best_eer"), result.get("size"))
        if running.place is None:
            return
        criterion, parameters = result.get("criterion"), dict(running.parameters)
        if values is None or criterion in (None, running.plan.get("criterion")):
            self._study.end(running.place, state, values)
        else:
            parameters["criterion"] = criterion
            self._study.end_as(running.place, parameters, values, running.attributes)
        if leads:
            self._points.extendleft(reversed(self._further(parameters, running.attributes)))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the study's journal and the trial log are what a run is resumed from."""

    def _config(self, chosen: _Running) -> dict[str, Any]:
        """What a trial gets."""
        number, recipe, plan = chosen[:3]
        self._plans[self._key(plan, recipe)] = number
        name, exempt = self._name(number, recipe, plan), is_recipe(recipe)
        what = {"plan": copy.deepcopy(plan), "number": number, "name": name, "recipe": recipe, "exempt": exempt}
        return {"job": self._job, **what}

    def _adopt(self, trial: optuna.Trial, plan: Plan, attributes: Mapping[str, Any]) -> _Running:
        number = attributes.get("number", self._next_number)
        self._next_number = max(self._next_number, number + 1)
        attributes = {**attributes, "number": number}
        place = self._study.begin(trial, attributes)
        return _Running(number, attributes.get("recipe"), plan, place, trial.params, attributes)

    def _key(self, plan: Mapping[str, Any], recipe: str | None = None) -> bytes:
        """The same for plans that give the same detector: the criterion that a plan names counts only if it is used."""
        ignored = "criterion" if self._chosen_at_cuts and not is_recipe(recipe) else None
        told = {name: value for name, value in plan.items() if name != ignored}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()

    def _leads(self, eer: float | None, size: float | None) -> bool:
        """Whether a trial that just ended well is on the front of EER and size, as far as sizes tell."""
        if eer is None or size is None:
            return False
        size = objective.size_on_grid(size)
        if any(e <= eer and s <= size for e, s in self._front):
            return False
        self._front = [(e, s) for e, s in self._front if not (eer <= e and size <= s)] + [(eer, size)]
        return True

    def _further(self, parameters: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[_Point]:
        """Other prunings of a trial's grown stage; it may be one itself, and leads only where it beats the others."""
        return [(dict(other), {"pruning_of": attributes["number"]}) for other in self._prunings(parameters)]

    def _settle(self, ended: Mapping[int, Record], warm: Sequence[EarlierTrial]) -> deque[_Point]:
        """Make the study agree with the log, so that nothing is running, and let it know trials of earlier runs.

        Returns:
            What began but did not end, to be tried again, then the prunings that had not begun.
        """
        latest: dict[int, int] = {}
        for place, trial in enumerate(self._study.past):
            number = trial.user_attrs.get("number")
            if number is not None:
                latest[number] = place
            if trial.state == TrialState.RUNNING:
                record = None if number is None else ended.get(number)
                state = TrialState.FAIL if record is None else TrialState[record.state]
                complete = record is not None and state == TrialState.COMPLETE
                self._study.settle(place, state, self._recorded(record) if record is not None and complete else None)
        self._next_number = max([self._next_number, *(number + 1 for number in latest)])
        there = {trial.user_attrs.get("warm_start") for trial in self._study.past}
        for one in warm:
            if one.name not in there:
                self._study.add(one.trial, self._recorded(one.record), {"warm_start": one.name})
        lost = [self._study.past[place] for number, place in sorted(latest.items()) if number not in ended]
        points: deque[_Point] = deque()
        for number, record in ended.items():
            leads = record.state == "COMPLETE" and self._leads(record.eer, record.size)
            if leads and number in latest:
                trial = self._study.past[latest[number]]
                points.extendleft(reversed(self._further(trial.params, trial.user_attrs)))
        begun = [(t.params, t.user_attrs["pruning_of"]) for t in self._study.past if "pruning_of" in t.user_attrs]
        points = deque(point for point in points if (point[0], point[1]["pruning_of"]) not in begun)
        points.extendleft((trial.params, {**trial.user_attrs, "again": True}) for trial in reversed(lost))
        self._study.learn()
        return points

    def _values(self, result: Mapping[str, Any]) -> list[float | None]:
        """The value of every objective, by what a trial reported."""
        size = result.get("size")
        known = {**result, "size": None if size is None else objective.size_on_grid(size)}
        return [known.get(name) for name in self.objectives]

    def _recorded(self, record: Record) -> list[float]:
        """A complete trial's value of every objective."""
        own = {METRIC: record.weighted_eer, "best_eer": record.eer, "size": record.size}
        return [float(value or 0) for value in self._values(own)]


def ending(result: Mapping[str, Any] | None, error: bool) -> objective.Ending:
    """How a trial ended, from its last result and whether it raised."""
    if error or not result or result.get("epoch") is None or "failed" in result:
        return "failed"
    return "finished" if result["epoch"] >= result["epochs"] else "stopped"
