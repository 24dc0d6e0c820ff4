from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from pretended import space
from search import options
from search.assessment import Assessment
from search.objective import coarse
from search.sampler import PlanSearch, ending
from search.samplers import make_sampler
from search.trial_log import Record
from search.warm_start import Known

RECIPES = {"paper": {"x": 0.5, "size": 100, "epochs": 2}, "control": {"x": 0.75, "size": 100, "epochs": 2}}
ANCHORS = {"small": {"x": 0.25, "size": 60}}


def searcher(folder: Path, ended: Mapping[int, Record] | None = None, **changed: Any) -> PlanSearch:
    defaults: dict[str, Any] = {
        "job": {"seed": 1},
        "recipes": {},
        "anchors": {},
        "assess": lambda plan: Assessment(),
        "sampler": "tpe",
        "seed": 0,
        "startup": 2,
    }
    chosen = changed.pop("space", space)
    return PlanSearch(chosen, journal=folder / "study.journal", ended=ended or {}, **{**defaults, **changed})


def refusing(reason: str, what: Callable[[Mapping[str, Any]], bool]) -> Callable[[Mapping[str, Any]], Assessment]:
    return lambda plan: Assessment(reason if what(plan) else None)


def trials(folder: Path) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="search", storage=storage).trials


def result(plan: Mapping[str, Any], epoch: int = 2) -> dict[str, Any]:
    eer = (plan["x"] - 0.3) ** 2
    return {
        "epoch": epoch,
        "epochs": 2,
        "best_weighted_eer": eer + plan["size"] / 1000,
        "best_eer": eer,
        "size": plan["size"],
    }


def suggested(search: PlanSearch, trial_id: str) -> dict[str, Any]:
    config = search.suggest(trial_id)
    assert isinstance(config, dict)
    return config


def run(search: PlanSearch, count: int, begin: int = 0) -> list[dict[str, Any]]:
    plans = []
    for i in range(begin, begin + count):
        config = suggested(search, str(i))
        search.on_trial_complete(str(i), result(config["plan"]))
        plans.append(config["plan"])
    return plans


def record(config: Mapping[str, Any], state: str = "COMPLETE") -> Record:
    value = result(config["plan"])["best_weighted_eer"]
    return Record(config["number"], state, config["recipe"], config["plan"], eer=0.1, size=1, weighted_eer=value)


def test_recipes_come_first_then_anchors_then_what_optuna_chooses(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES, anchors=ANCHORS)
    configs = [suggested(search, str(i)) for i in range(5)]
    assert [config["number"] for config in configs] == [0, 1, 2, 3, 4]
    assert [config["recipe"] for config in configs] == ["paper", "control", "small", None, None]
    assert configs[0]["plan"] == RECIPES["paper"]
    assert configs[2]["plan"] == {"x": 0.25, "size": 60, "epochs": 2}
    assert all(config["job"] == {"seed": 1} for config in configs)
    assert len(trials(tmp_path)) == 3  # recipes are no points of the space


def test_a_recipe_that_is_refused_is_left_out_and_keeps_its_number(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES, assess=refusing("no", lambda plan: plan["x"] == 0.5))
    assert search.left_out == {"paper": "no"}
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


def test_refused_plans_are_told_with_their_reason_and_another_is_asked(tmp_path: Path) -> None:
    search = searcher(tmp_path, assess=refusing("too large", lambda plan: plan["size"] > 60))
    config = suggested(search, "a")
    assert config["plan"]["size"] <= 60
    *refused, chosen = trials(tmp_path)
    assert refused
    assert all(trial.state == TrialState.PRUNED for trial in refused)
    assert all(trial.user_attrs["refused"] == "too large" for trial in refused)
    assert chosen.state == TrialState.RUNNING
    assert config["number"] == 0


def test_asking_ends_when_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.sampler.TRIES", 7)
    search = searcher(tmp_path, sampler="random", assess=refusing("too large", lambda plan: True))
    answer: object = search.suggest("a")
    assert answer == Searcher.FINISHED
    assert search.gave_up is not None
    assert "too large" in search.gave_up
    assert len(trials(tmp_path)) == 7


def test_a_plan_is_never_tried_twice(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes={"first": {"x": 0.25, "size": 60, "epochs": 2}}, anchors=ANCHORS)
    suggested(search, "0")
    assert suggested(search, "1")["recipe"] is None
    assert trials(tmp_path)[0].user_attrs["refused"] == "same plan as trial 0"
    assert trials(tmp_path)[0].state == TrialState.FAIL


def test_as_many_trials_are_handed_out_as_are_wanted(tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES)
    search.most = 3
    plans = [suggested(search, str(number))["plan"] for number in range(3)]
    assert search.suggest("3") is None  # one of those may be lost
    for number, plan in enumerate(plans):
        search.on_trial_complete(str(number), result(plan))
    answer: object = search.suggest("3")
    assert answer == Searcher.FINISHED


@pytest.mark.parametrize("lost", [0, 2, 3])
def test_a_trial_that_was_lost_is_handed_out_anew_with_its_number(lost: int, tmp_path: Path) -> None:
    search = searcher(tmp_path, recipes=RECIPES, anchors=ANCHORS)  # 2 is the anchor, 3 the sampler's
    search.most = 4
    configs = [suggested(search, str(number)) for number in range(4)]
    search.on_trial_complete(str(lost), error=True)
    search.again(lost)
    assert suggested(search, "again") == configs[lost]
    for number in set(range(4)) - {lost}:
        search.on_trial_complete(str(number), result(configs[number]["plan"]))
    search.on_trial_complete("again", result(configs[lost]["plan"]))
    answer: object = search.suggest("4")
    assert answer == Searcher.FINISHED
    told = sorted(trial.user_attrs["number"] for trial in trials(tmp_path) if trial.state == TrialState.COMPLETE)
    assert told == [2, 3]


@pytest.mark.parametrize("prunings", [1, 4])
def test_a_criterion_makes_another_plan_unless_trials_choose_it_themselves(prunings: int, tmp_path: Path) -> None:
    def with_criterion(trial: optuna.Trial) -> dict[str, Any]:
        return {**space(trial), "criterion": trial.suggest_categorical("criterion", ["original", "taylor"])}

    anchors = {f"anchor-{name}": {**ANCHORS["small"], "criterion": name} for name in ("original", "taylor")}
    paper = {"x": 0.25, "size": 60, "epochs": 2, "criterion": "original"}
    job = {"seed": 1, "prunings": prunings}
    search = searcher(tmp_path, space=with_criterion, job=job, anchors=anchors, recipes={"paper": paper})
    plans = [suggested(search, str(number))["plan"] for number in range(3)]
    refused = [trial.user_attrs.get("refused") for trial in trials(tmp_path)]
    if prunings == 1:
        assert refused == ["same plan as trial 0", None, None]
        assert plans[1] == {**paper, "criterion": "taylor"}
    else:
        assert refused == [None, "same plan as trial 1", None]
        assert plans[1] == paper  # a recipe keeps its criterion, so this is another plan


@pytest.mark.parametrize("objective", ["weighted", "pareto"])
@pytest.mark.parametrize("sampler", options.SAMPLERS)
def test_the_same_seed_chooses_the_same_plans(sampler: str, objective: str, tmp_path: Path) -> None:
    chosen = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        chosen.append(run(searcher(folder, sampler=sampler, objective=objective), 6))
    assert chosen[0] == chosen[1]
    other = tmp_path / "c"
    other.mkdir()
    assert run(searcher(other, sampler=sampler, objective=objective, seed=1), 6) != chosen[0]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])  # gp takes seconds for each
def test_samplers_of_two_objectives_come_nearer_to_the_front_than_chance(sampler: str, tmp_path: Path) -> None:
    """EER falls towards x = 0.3, size is a parameter: the front is x = 0.3 at every size."""
    errors = {}
    for name in (sampler, "random"):
        found = []
        for seed in range(3):
            folder = tmp_path / f"{name}-{seed}"
            folder.mkdir()
            plans = run(searcher(folder, sampler=name, objective="pareto", startup=6, seed=seed), 36)
            found.append(sum(result(plan)["best_eer"] for plan in plans[18:]) / 18)
        errors[name] = sorted(found)[1]
    assert errors[sampler] < 0.8 * errors["random"]


def test_both_objectives_are_told_and_stopped_trials_have_no_value(tmp_path: Path) -> None:
    search = searcher(tmp_path, objective="pareto")
    plans = [suggested(search, str(number))["plan"] for number in range(3)]
    search.on_trial_complete("0", result(plans[0]))
    search.on_trial_complete("1", result(plans[1], epoch=1))
    search.on_trial_complete("2", {**result(plans[2]), "failed": "the loss is nan"})
    found = trials(tmp_path)
    assert [trial.state.name for trial in found] == ["COMPLETE", "PRUNED", "FAIL"]
    assert found[0].values == [result(plans[0])["best_eer"], coarse(plans[0]["size"])]
    assert found[1].values is None
    assert not found[1].intermediate_values


@pytest.mark.parametrize("sampler", options.SAMPLERS)
def test_the_size_limit_reaches_optuna_as_a_constraint(sampler: str, tmp_path: Path) -> None:
    def limited(plan: Mapping[str, Any]) -> Assessment:
        return Assessment("too large" if plan["size"] > 100 else None, plan["size"] - 100)

    search = searcher(tmp_path, assess=limited, sampler=sampler, objective="pareto", startup=4)
    assert all(plan["size"] <= 100 for plan in run(search, 5 if sampler == "gp" else 12))
    asked = [trial for trial in trials(tmp_path) if trial.state != TrialState.FAIL]  # whose plan was tried before
    for trial in asked:
        assert trial.constraints == {"parameters": trial.params["size"] - 100}


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


def test_prunings_that_had_not_begun_come_next_in_a_resumed_run(tmp_path: Path) -> None:
    def others(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{**parameters, "size": parameters["size"] + step} for step in (-1, 1, 2)]

    first = searcher(tmp_path, prunings=others)
    configs = [suggested(first, "0")]
    first.on_trial_complete("0", result(configs[0]["plan"]))
    configs.append(suggested(first, "1"))
    first.on_trial_complete("1", {**result(configs[1]["plan"]), "best_eer": 0.9, "size": 1000})
    lost = suggested(first, "2")  # the process dies here: one sibling was under way, one had not begun
    ended = {
        0: Record(0, "COMPLETE", None, configs[0]["plan"], eer=0.1, size=50, weighted_eer=0.2),
        1: Record(1, "COMPLETE", None, configs[1]["plan"], eer=0.9, size=1000, weighted_eer=0.9),
    }
    again = searcher(tmp_path, ended, prunings=others)
    found = [suggested(again, str(number)) for number in range(3)]
    assert found[0] == lost
    assert found[1]["plan"] == {**configs[0]["plan"], "size": configs[0]["plan"]["size"] + 2}
    assert found[2]["plan"]["x"] != configs[0]["plan"]["x"]


def test_optuna_learns_of_the_criterion_that_was_chosen(tmp_path: Path) -> None:
    def with_criterion(trial: optuna.Trial) -> dict[str, Any]:
        return {**space(trial), "criterion": trial.suggest_categorical("criterion", ["original", "taylor"])}

    job = {"seed": 1, "prunings": 4}
    search = searcher(tmp_path, space=with_criterion, job=job)
    plan = suggested(search, "0")["plan"]
    (other,) = {"original", "taylor"} - {plan["criterion"]}
    search.on_trial_complete("0", {**result(plan), "criterion": other})
    asked, done = trials(tmp_path)
    assert (asked.state.name, done.state.name) == ("FAIL", "COMPLETE")
    assert done.params == {**asked.params, "criterion": other}
    assert done.value == result(plan)["best_weighted_eer"]
    assert done.user_attrs == asked.user_attrs == {"number": 0}
    known = {0: Record(0, "COMPLETE", None, {**plan, "criterion": other})}
    again = searcher(tmp_path, known, space=with_criterion, job=job)
    assert suggested(again, "1")["number"] == 1


def test_trials_of_earlier_runs_are_learned_from_once(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    plans = run(searcher(earlier), 5)
    warm = [
        Known(f"earlier/{n}", trial, Record(n, "COMPLETE", None, plan, eer=0.1, size=50, weighted_eer=0.2))
        for n, (trial, plan) in enumerate(zip(trials(earlier), plans, strict=True))
    ]
    for objective, values in (("weighted", [0.2]), ("pareto", [0.1, coarse(50)])):
        folder = tmp_path / objective
        folder.mkdir()
        for _ in range(2):  # the second time as a resumed run
            searcher(folder, warm=warm, objective=objective)
        found = trials(folder)
        assert [trial.params for trial in found] == [trial.params for trial in trials(earlier)]
        assert all(trial.values == values for trial in found)
        assert suggested(searcher(folder, warm=warm, objective=objective), "0")["number"] == 0


def test_a_run_resumed_between_trials_chooses_as_if_it_had_gone_on(tmp_path: Path) -> None:
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    through.mkdir()
    stopped.mkdir()
    expected = run(searcher(through), 8)
    first = searcher(stopped)
    configs = [suggested(first, "0")]
    first.on_trial_complete("0", result(configs[0]["plan"]))
    rest = run(searcher(stopped, {0: record(configs[0])}), 7, begin=1)
    assert [configs[0]["plan"], *rest] == expected


def test_trials_under_way_are_handed_out_again_first_and_nothing_stays_running(tmp_path: Path) -> None:
    before = searcher(tmp_path, recipes=RECIPES, anchors=ANCHORS)
    configs = [suggested(before, str(i)) for i in range(5)]
    before.on_trial_complete("3", result(configs[3]["plan"]))
    ended = {0: record(configs[0]), 3: record(configs[3])}
    # The process dies here: recipe 1, anchor 2 and trial 4 were under way.
    after = searcher(tmp_path, ended, recipes=RECIPES, anchors=ANCHORS)
    assert all(trial.state != TrialState.RUNNING for trial in trials(tmp_path))
    again = [suggested(after, str(i)) for i in range(4)]
    assert again[:3] == [configs[1], configs[2], configs[4]]
    assert again[3]["number"] == 5


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED", "FAIL"])
def test_what_the_log_knows_and_the_study_does_not_is_told(state: str, tmp_path: Path) -> None:
    config = suggested(searcher(tmp_path), "0")
    searcher(tmp_path, {0: record(config, state)})
    (trial,) = trials(tmp_path)
    assert trial.state.name == state
    assert trial.value == (result(config["plan"])["best_weighted_eer"] if state == "COMPLETE" else None)


def test_a_trial_that_the_study_knows_and_the_log_does_not_is_run_again(tmp_path: Path) -> None:
    before = searcher(tmp_path)
    config = suggested(before, "0")
    before.on_trial_complete("0", result(config["plan"]))
    assert suggested(searcher(tmp_path), "0") == config


def test_a_journal_whose_last_line_was_cut_off_is_read(tmp_path: Path) -> None:
    run(searcher(tmp_path), 3)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    run(searcher(tmp_path, {i: Record(i, "COMPLETE", None, {}) for i in range(3)}), 1)
    assert len(trials(tmp_path)) == 4


def test_tpe_finds_better_plans_than_chance(tmp_path: Path) -> None:
    found = {}
    for sampler in ("tpe", "random"):
        folder = tmp_path / sampler
        folder.mkdir()
        plans = run(searcher(folder, sampler=sampler, startup=6), 40)
        found[sampler] = sum(result(plan)["best_weighted_eer"] for plan in plans[20:]) / 20
    assert found["tpe"] < 0.7 * found["random"]


def test_unknown_samplers_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'grid'"):
        make_sampler("grid", 0, 0, 10)


def test_ending_needs_the_last_epoch() -> None:
    assert ending({"epoch": 3, "epochs": 3}, False) == "finished"
    assert ending({"epoch": 2, "epochs": 3}, False) == "stopped"
    assert ending({}, False) == "failed"
