"""Trials of other versions' spaces are rejected, whatever the difference; those of this one never are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial

import spaces
from answers import RULES, budget_of
from search.tuning.space_check import check_compatible, site_infos
from searchers import run, searcher
from trainables.models.architecture import Architecture

Space = Callable[[optuna.Trial], dict[str, Any]]


def small(trial: optuna.Trial) -> dict[str, Any]:
    how = trial.suggest_categorical("how", ["a", "b"])
    return {"how": how, "x": trial.suggest_float("x", 0, 1), "size": trial.suggest_int("size", 1, 9), "epochs": 2}


def less(trial: optuna.Trial) -> dict[str, Any]:
    return {"how": trial.suggest_categorical("how", ["a", "b"]), "size": trial.suggest_int("size", 1, 9)}


def more(trial: optuna.Trial) -> dict[str, Any]:
    return {**small(trial), "y": trial.suggest_float("y", 0, 1)}


def choices(trial: optuna.Trial) -> dict[str, Any]:
    how = trial.suggest_categorical("how", ["a", "b", "c"])
    return {"how": how, "x": trial.suggest_float("x", 0, 1), "size": trial.suggest_int("size", 1, 9)}


def wider(trial: optuna.Trial) -> dict[str, Any]:
    return {**less(trial), "x": trial.suggest_float("x", 0, 2)}


def narrower(trial: optuna.Trial) -> dict[str, Any]:
    return {**less(trial), "x": trial.suggest_float("x", 0.9999, 1)}


def logarithmic(trial: optuna.Trial) -> dict[str, Any]:
    how = trial.suggest_categorical("how", ["a", "b"])
    return {"how": how, "x": trial.suggest_float("x", 0, 1), "size": trial.suggest_int("size", 1, 9, log=True)}


OTHERS = {one.__name__: one for one in (less, more, choices, wider, narrower, logarithmic)}


def drawn(space: Space, seed: int) -> FrozenTrial:
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    trial = study.ask()
    space(trial)
    return study.trials[0]


@pytest.mark.parametrize("name", spaces.names())
@settings(max_examples=10)
@given(seed=st.integers(0, 99))
def test_whatever_a_space_suggests_is_a_point_of_it(name: str, seed: int) -> None:
    sites, budget = site_infos(Architecture.create("resnet18", {"width": 4})), budget_of(6)

    def space(trial: optuna.Trial) -> dict[str, Any]:
        plan: dict[str, Any] = spaces.load(name).space(trial, sites, budget)
        return plan

    check_compatible(space, drawn(space, seed), "it")


def test_a_space_is_told_which_rules_a_site_refuses() -> None:
    expected = {"inner": (), "branch": ("split", "gradmax"), "stream": ("gradmax",)}
    for site in site_infos(Architecture.create("resnet18", {"width": 4})):
        assert tuple(rule for rule in site.refused_rules if rule in RULES) == expected[site.kind], site.name


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_point_of_another_space_is_rejected_by_name(other: str, seed: int) -> None:
    check_compatible(small, drawn(small, seed), "trial one/7")
    for space, asked in ((small, OTHERS[other]), (OTHERS[other], small)):
        with pytest.raises(ValueError, match="trial one/7 was chosen from another space"):
            check_compatible(space, drawn(asked, seed), "trial one/7")


def test_a_run_of_another_version_is_not_resumed(tmp_path: Path) -> None:
    search = searcher(tmp_path, space=small)
    run(search, 3)
    searcher(tmp_path, space=small)
    with pytest.raises(ValueError, match="the latest trial of this run was chosen from another space"):
        searcher(tmp_path, space=more)
