from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from pretended import space
from search.tuning.searcher import ending
from searchers import INITIAL_POINTS, RECIPES, rejecting, result, searcher, suggested, trials


def test_recipes_come_first_then_initial_points_then_what_optuna_chooses(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES, initial_points=INITIAL_POINTS)
    configs = [suggested(search, str(i)) for i in range(5)]
    assert [config["number"] for config in configs] == [0, 1, 2, 3, 4]
    assert [config["recipe"] for config in configs] == ["paper", "control", "small", None, None]
    assert configs[0]["plan"] == RECIPES["paper"]
    assert configs[2]["plan"] == {"x": 0.25, "size": 60, "epochs": 2}
    assert all(config["job"] == {"seed": 1} for config in configs)
    assert len(trials(tmp_path)) == 3  # recipes are no points of the space


def test_a_recipe_that_is_rejected_is_skipped_and_keeps_its_number(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES, check_feasibility=rejecting("no", lambda plan: plan["x"] == 0.5))
    assert search.skipped_recipes == {"paper": "no"}
    config = suggested(search, "0")
    assert (config["number"], config["recipe"]) == (1, "control")


@pytest.mark.parametrize(
    ("last", "error", "state"),
    [
        ({"epoch": 2, "epochs": 2, "best_weighted_eer": 0.25}, False, TrialState.COMPLETE),
        ({"epoch": 1, "epochs": 2, "best_weighted_eer": 0.25}, False, TrialState.PRUNED),
        ({"epoch": 2, "epochs": 2, "best_weighted_eer": float("nan")}, False, TrialState.FAIL),
        ({"epoch": 2, "epochs": 2}, False, TrialState.FAIL),
        ({"epoch": 2, "epochs": 2, "best_weighted_eer": 0.25}, True, TrialState.FAIL),
        (None, True, TrialState.FAIL),
        (None, False, TrialState.FAIL),
    ],
)
def test_how_a_trial_ended_is_what_optuna_hears(
    last: dict[str, Any] | None, error: bool, state: TrialState, tmp_path: Path
) -> None:
    search = searcher(tmp_path)
    search.suggest("a")
    search.on_trial_complete("a", last, error)
    (trial,) = trials(tmp_path)
    assert trial.state == state
    assert trial.value == (0.25 if state == TrialState.COMPLETE else None)


def test_rejected_plans_are_told_with_their_reason_and_another_is_asked(tmp_path: Path) -> None:
    search = searcher(tmp_path, check_feasibility=rejecting("too large", lambda plan: plan["size"] > 60))
    config = suggested(search, "a")
    assert config["plan"]["size"] <= 60
    *rejected, chosen = trials(tmp_path)
    assert rejected
    assert all(trial.state == TrialState.PRUNED for trial in rejected)
    assert all(trial.user_attrs["rejected"] == "too large" for trial in rejected)
    assert chosen.state == TrialState.RUNNING
    assert config["number"] == 0


def test_asking_ends_when_everything_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tuning.searcher.MAX_REJECTED", 7)
    search = searcher(tmp_path, sampler="random", check_feasibility=rejecting("too large", lambda plan: True))
    answer: object = search.suggest("a")
    assert answer == Searcher.FINISHED
    assert search.exhausted is not None
    assert "too large" in search.exhausted
    assert len(trials(tmp_path)) == 7


@pytest.mark.parametrize("lost", [0, 1])
def test_what_was_lost_is_rescheduled_although_everything_else_is_rejected(lost: int, tmp_path: Path) -> None:
    recipe = {"x": 0.25, "size": 60, "epochs": 2}
    closed: list[bool] = []
    search = searcher(
        tmp_path, recipes={"first": recipe}, check_feasibility=rejecting("too large", lambda plan: bool(closed))
    )
    configs = [suggested(search, "0"), suggested(search, "1")]
    closed.append(True)
    assert search.suggest("2") is None
    assert search.exhausted is not None
    asked = len(trials(tmp_path))
    search.on_trial_complete(str(lost), error=True)
    search.reschedule(lost)
    closed.clear()
    assert suggested(search, "rescheduled") == configs[lost]
    assert search.suggest("3") is None
    search.on_trial_complete(str(1 - lost), result(configs[1 - lost]["plan"]))
    search.on_trial_complete("rescheduled", result(configs[lost]["plan"]))
    answer: object = search.suggest("4")
    assert answer == Searcher.FINISHED
    assert len(trials(tmp_path)) == asked + lost, "no more were asked for"


def test_a_plan_is_never_tried_twice(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes={"first": {"x": 0.25, "size": 60, "epochs": 2}}, initial_points=INITIAL_POINTS)
    suggested(search, "0")
    assert suggested(search, "1")["recipe"] is None
    assert trials(tmp_path)[0].user_attrs["rejected"] == "same plan as trial 0"
    assert trials(tmp_path)[0].state == TrialState.FAIL


def test_as_many_trials_are_suggested_as_are_wanted(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES)
    search.max_trials = 3
    plans = [suggested(search, str(number))["plan"] for number in range(3)]
    assert search.suggest("3") is None  # one of those may be lost
    for number, plan in enumerate(plans):
        search.on_trial_complete(str(number), result(plan))
    answer: object = search.suggest("3")
    assert answer == Searcher.FINISHED


@pytest.mark.parametrize("lost", [0, 2, 3])
def test_a_trial_that_was_lost_is_rescheduled_with_its_number(lost: int, tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES, initial_points=INITIAL_POINTS)  # 2 is the point, 3 the sampler's
    search.max_trials = 4
    configs = [suggested(search, str(number)) for number in range(4)]
    search.on_trial_complete(str(lost), error=True)
    search.reschedule(lost)
    assert suggested(search, "rescheduled") == configs[lost]
    for number in set(range(4)) - {lost}:
        search.on_trial_complete(str(number), result(configs[number]["plan"]))
    search.on_trial_complete("rescheduled", result(configs[lost]["plan"]))
    answer: object = search.suggest("4")
    assert answer == Searcher.FINISHED
    told = sorted(trial.user_attrs["number"] for trial in trials(tmp_path) if trial.state == TrialState.COMPLETE)
    assert told == [2, 3]


@pytest.mark.parametrize("prunings", [1, 4])
def test_a_criterion_makes_another_plan_unless_trials_choose_it_themselves(prunings: int, tmp_path: Path) -> None:
    def with_criterion(trial: optuna.Trial) -> dict[str, Any]:
        return {**space(trial), "criterion": trial.suggest_categorical("criterion", ["original", "taylor"])}

    initial_points = {
        f"initial-{name}": {**INITIAL_POINTS["small"], "criterion": name} for name in ("original", "taylor")
    }
    paper = {"x": 0.25, "size": 60, "epochs": 2, "criterion": "original"}
    job = {"seed": 1, "prunings_per_growth": prunings}
    search = searcher(tmp_path, space=with_criterion, job=job, initial_points=initial_points, recipes={"paper": paper})
    plans = [suggested(search, str(number))["plan"] for number in range(3)]
    rejected = [trial.user_attrs.get("rejected") for trial in trials(tmp_path)]
    if prunings == 1:
        assert rejected == ["same plan as trial 0", None, None]
        assert plans[1] == {**paper, "criterion": "taylor"}
    else:
        assert rejected == [None, "same plan as trial 1", None]
        assert plans[1] == paper  # a recipe keeps its criterion, so this is another plan


def test_prunings_of_a_trial_on_the_front_come_next(tmp_path: Path) -> None:
    def others(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{**parameters, "size": parameters["size"] + step} for step in (-1, 1)]

    search = searcher(tmp_path, prunings=others, sampler="random")
    first = suggested(search, "0")
    search.on_trial_complete("0", {**result(first["plan"]), "best_eer": 0.1})
    siblings = [suggested(search, str(number))["plan"] for number in (1, 2)]
    assert [one["size"] for one in siblings] == [first["plan"]["size"] - 1, first["plan"]["size"] + 1]
    assert [one["x"] for one in siblings] == [first["plan"]["x"]] * 2
    assert [trial.user_attrs.get("pruning_of") for trial in trials(tmp_path)] == [None, 0, 0]
    search.on_trial_complete("1", {**result(siblings[0]), "best_eer": 0.9, "size": 1000})  # not on the front
    later = suggested(search, "3")["plan"]
    assert later["x"] != first["plan"]["x"]
    search.on_trial_complete("2", {**result(siblings[1]), "best_eer": 0.0})  # on it: prunings of a pruning
    assert [suggested(search, str(number))["plan"]["size"] for number in (4,)] == [first["plan"]["size"] + 2]
    assert trials(tmp_path)[-1].user_attrs["pruning_of"] == 2
    search.on_trial_complete("3", {**result(later), "best_eer": 0.9, "size": 1000})
    assert suggested(search, "5")["plan"]["x"] not in (first["plan"]["x"], later["x"])


def test_ending_needs_the_last_epoch() -> None:
    assert ending({"epoch": 3, "epochs": 3}, False) == "finished"
    assert ending({"epoch": 2, "epochs": 3}, False) == "stopped"
    assert ending({}, False) == "failed"
