"""Every space with every model: plans parse to the widths they promise, and Optuna samples them jointly."""

from __future__ import annotations

import ast
import math
import random
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

import spaces
import trainables
from answers import CRITERIA, RULES
from search.tuning.space_check import run_budget, site_infos
from spaces import paper, shared
from spaces.recipes import initial_points, recipes
from trainables import criteria, growth, models
from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan

OPTIONS: dict[str, dict[str, Any]] = {"resnet18": {"width": 8}, "wav2vec2": {"checkpoint": "tiny"}}
PAIRS = [(space, model) for space in spaces.names() for model in models.NAMES]


class RandomTrial:
    """A trial that answers at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Uniform."""
        return self.random.randint(low, high)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Uniform, or log-uniform."""
        if log:
            return math.exp(self.random.uniform(math.log(low), math.log(high)))
        return self.random.uniform(low, high)

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """Uniform."""
        return self.random.choice(choices)


def base(model: str, options: dict[str, Any] | None = None) -> Architecture:
    """A small base of a model."""
    return Architecture.create(model, OPTIONS.get(model, {}) if options is None else options)


def parsed(plan: dict[str, Any], arch: Architecture) -> Plan:
    """The plan, accepted, with the final widths that it names."""
    accepted = Plan.from_config(plan, arch)
    expected = {site: width + plan["grow"].get(site, 0) for site, width in arch.total_widths().items()}
    assert accepted.final.total_widths() == {**expected, **plan["final"]}
    assert accepted.epochs == plan["epochs"]
    assert len(accepted.learning_rates()) == plan["epochs"]
    return accepted


@pytest.mark.parametrize("space", spaces.names())
def test_a_space_says_what_it_does_and_who_carries_its_plans_out(space: str) -> None:
    module = spaces.load(space)
    assert module.WORDS
    assert trainables.load(module.PROCEDURE).procedure == module.PROCEDURE  # type: ignore[attr-defined]
    plan = module.space(RandomTrial(0), site_infos(base("grnn")), run_budget("grnn", 4))
    assert (plan["space"], plan["procedure"]) == (space, module.PROCEDURE)


@pytest.mark.parametrize(("space", "model"), PAIRS)
def test_every_suggested_plan_is_accepted(space: str, model: str) -> None:
    arch = base(model)
    for seed in range(12):
        parsed(spaces.load(space).space(RandomTrial(seed), site_infos(arch), run_budget(model, 2 + seed)), arch)


@pytest.mark.parametrize("space", spaces.names())
def test_plans_for_many_sites_are_accepted(space: str) -> None:
    arch = base("wav2vec2", {"checkpoint": "small"})
    assert len(site_infos(arch)) > shared.MANY_SITES
    for seed in range(3):
        parsed(spaces.load(space).space(RandomTrial(seed), site_infos(arch), run_budget("wav2vec2", 6)), arch)


@pytest.mark.parametrize("epochs", [2, 3, 12])
@pytest.mark.parametrize(("space", "model"), PAIRS)
def test_every_recipe_and_initial_point_is_accepted(space: str, model: str, epochs: int) -> None:
    arch = base(model)
    sites, given = site_infos(arch), run_budget(model, epochs)
    found = recipes(space, model, sites, given)
    assert set(found) == ({"paper", "control"} if model in paper.MODELS else {"control"})
    for plan in (*found.values(), *(point.plan for point in initial_points(space, sites, given).values())):
        parsed(plan, arch)


@pytest.mark.parametrize("model", paper.MODELS)
def test_paper_and_control_of_plasticity_share_size_and_schedule(model: str) -> None:
    arch = base(model)
    found = recipes("plasticity", model, site_infos(arch), run_budget(model, 9))
    paper, control = parsed(found["paper"], arch), parsed(found["control"], arch)
    assert paper.final.size() == control.final.size() == arch.size()
    assert paper.learning_rates() == control.learning_rates()
    assert [(s.epochs, s.fresh_optimizer) for s in paper.stages] == [(3, True)] * 3
    assert [(s.epochs, s.fresh_optimizer) for s in control.stages] == [(3, True)] * 3


def test_paper_dropin_of_resnet18_has_the_papers_size() -> None:
    arch = base("resnet18", {"width": 64})
    plan = recipes("dropin", "resnet18", site_infos(arch), run_budget("resnet18", 3))["paper"]
    assert parsed(plan, arch).final.size() == 14_286_530


@pytest.mark.parametrize(("space", "model"), PAIRS)
def test_optuna_samples_one_space_of_fixed_shape(space: str, model: str) -> None:
    arch = base(model)
    sites, given = site_infos(arch), run_budget(model, 4)
    starts = initial_points(space, sites, given)
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, n_startup_trials=4)
    study = optuna.create_study(sampler=sampler)
    for point in starts.values():
        study.enqueue_trial(point.parameters)
    plans: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        plan: dict[str, Any] = spaces.load(space).space(trial, sites, given)
        plans.append(plan)
        return float(sum(plan["grow"].values()) + plan["lr"])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.optimize(objective, n_trials=10)
    assert plans[: len(starts)] == [point.plan for point in starts.values()]
    shapes = [trial.distributions for trial in study.trials]
    assert all(shape == shapes[0] for shape in shapes)
    assert len(plans) == 10


def test_choices_come_in_the_order_of_earlier_studies() -> None:
    found = run_budget("grnn", 4)
    assert found.rules == growth.searched()
    assert found.criteria == criteria.searched()
    assert found.rules[: len(RULES)] == RULES == growth.NAMES[: len(RULES)]
    assert found.criteria[: len(CRITERIA)] == CRITERIA == criteria.NAMES[: len(CRITERIA)]
    assert "random" in criteria.NAMES
    assert "random" not in found.criteria


def test_spaces_stand_on_the_standard_library_alone() -> None:
    folder = Path(spaces.__file__).parent
    imported = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "spaces").split(".")[0])
    assert "dataclasses" in imported
    assert imported <= {*sys.stdlib_module_names, "spaces"}
    assert {file.stem for file in folder.glob("*.py")} == {"__init__", "shared", "recipes", "paper", *spaces.names()}


@pytest.mark.parametrize(("space", "model"), PAIRS)
def test_other_prunings_share_everything_before_the_first_cut(space: str, model: str) -> None:
    arch, own = base(model), spaces.load(space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    cuts = 0
    for _ in range(6):
        trial = study.ask()
        plan = parsed(own.space(trial, site_infos(arch), run_budget(model, 8)), arch)
        for other in own.prunings(trial.params):
            found = parsed(own.space(optuna.trial.FixedTrial(other), site_infos(arch), run_budget(model, 8)), arch)
            cuts += 1
            if None not in (plan.first_cut, found.first_cut):
                before = [[s for s in p.stages if not s.cut and s.name != "recover"] for p in (plan, found)]
                assert before[0] == before[1]
    assert (cuts > 0) == (own.PROCEDURE == "plasticity")
