"""What samplers make of objectives, constraints, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from pretended import space
from search.runs.record import Record
from search.settings import options
from search.tuning.feasibility import Feasibility
from search.tuning.objective import size_on_grid
from search.tuning.samplers import make_sampler
from search.tuning.warm_start import WarmStartTrial
from searchers import result, run, searcher, suggested, trials


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
    assert found[0].values == [result(plans[0])["best_eer"], size_on_grid(plans[0]["size"])]
    assert found[1].values is None
    assert not found[1].intermediate_values


@pytest.mark.parametrize("sampler", options.SAMPLERS)
def test_the_size_limit_reaches_optuna_as_a_constraint(sampler: str, tmp_path: Path) -> None:
    def limited(plan: Mapping[str, Any]) -> Feasibility:
        return Feasibility("too large" if plan["size"] > 100 else None, plan["size"] - 100)

    search = searcher(tmp_path, check_feasibility=limited, sampler=sampler, objective="pareto", startup=4)
    assert all(plan["size"] <= 100 for plan in run(search, 5 if sampler == "gp" else 12))
    asked = [trial for trial in trials(tmp_path) if trial.state != TrialState.FAIL]  # whose plan was tried before
    for trial in asked:
        assert trial.constraints == {"parameters": trial.params["size"] - 100}


def test_optuna_learns_of_the_criterion_that_was_chosen(tmp_path: Path) -> None:
    def with_criterion(trial: optuna.Trial) -> dict[str, Any]:
        return {**space(trial), "criterion": trial.suggest_categorical("criterion", ["original", "taylor"])}

    job = {"seed": 1, "prunings_per_growth": 4}
    search = searcher(tmp_path, space=with_criterion, job=job)
    plan = suggested(search, "0")["plan"]
    (other,) = {"original", "taylor"} - {plan["criterion"]}
    search.on_trial_complete("0", {**result(plan), "criterion": other})
    asked, done = trials(tmp_path)
    assert (asked.state.name, done.state.name) == ("FAIL", "COMPLETE")
    assert done.params == {**asked.params, "criterion": other}
    assert done.value == result(plan)["best_weighted_eer"]
    assert done.user_attrs == asked.user_attrs == {"number": 0, "asked": 0}
    known = {0: Record(0, "COMPLETE", None, {**plan, "criterion": other})}
    again = searcher(tmp_path, known, space=with_criterion, job=job)
    assert suggested(again, "1")["number"] == 1


def test_trials_of_other_runs_are_learned_from_once(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    plans = run(searcher(earlier), 5)
    warm_start = [
        WarmStartTrial(f"earlier/{n}", trial, Record(n, "COMPLETE", None, plan, eer=0.1, size=50, weighted_eer=0.2))
        for n, (trial, plan) in enumerate(zip(trials(earlier), plans, strict=True))
    ]
    for objective, values in (("weighted", [0.2]), ("pareto", [0.1, size_on_grid(50)])):
        folder = tmp_path / objective
        folder.mkdir()
        for _ in range(2):  # the second time as a resumed run
            searcher(folder, warm_start=warm_start, objective=objective)
        found = trials(folder)
        assert [trial.params for trial in found] == [trial.params for trial in trials(earlier)]
        assert all(trial.values == values for trial in found)
        assert suggested(searcher(folder, warm_start=warm_start, objective=objective), "0")["number"] == 0


def test_tpe_finds_better_plans_than_chance(tmp_path: Path) -> None:
    found = {}
    for sampler in ("tpe", "random"):
        folder = tmp_path / sampler
        folder.mkdir()
        plans = run(searcher(folder, sampler=sampler, startup=6), 40)
        found[sampler] = sum(result(plan)["best_weighted_eer"] for plan in plans[20:]) / 20
    assert found["tpe"] < 0.7 * found["random"]


def test_unknown_samplers_are_rejected() -> None:
    with pytest.raises(ValueError, match="got 'grid'"):
        make_sampler("grid", 0, 0, 10)
