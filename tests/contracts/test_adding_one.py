"""A plugin of each kind is one file and its name: with one of each added, a search chooses them and a trial uses them.

Whatever else would have to know of them (a list of words, of choices, of what is built) makes a test fail here.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

import plugins
import spaces
import trainables
from search.reporting.plan_words import plan_in_words
from search.running.trials import make_searcher
from search.runs.trial_log import TrialLog
from search.settings.command_line import parse
from search.settings.options import Settings
from search.tuning import space_check
from spaces import recipes
from trainable_trials import finish
from trainables import corpora, criteria, growth, models
from trainables.features import store
from trainables.jobs.pretraining import pretrain
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trainables.trial.execution import Execution
from trainables.trial.plan import Plan


@pytest.fixture(scope="module", autouse=True)
def with_plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugins.added(tmp_path_factory.mktemp("plugins")):
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a run that uses each of the plugins."""
    place = tmp_path_factory.mktemp("run")
    what = ["--space", "gentle", "--model", "perceptron", "--corpus", "tones-high"]
    where = ["--storage", str(place / "runs"), "--name", "one", "--cache", str(place / "cache")]
    made = parse([*what, *where, "--epochs", "4", "--trials", "6"])
    made.run_folder.mkdir(parents=True)
    return made


@pytest.fixture(scope="module")
def job(settings: Settings) -> dict[str, Any]:
    """Features of the corpus, a base that was trained on them, and what else every trial of the run is given."""
    corpus = corpora.read(settings.corpus, settings.corpus_root, cache=settings.cache)
    features = store.build(corpus, models.load(settings.model).FRONT_END, settings.cache, seconds=0.5, workers=1)
    arch, base = Architecture.create(settings.model, settings.model_option), settings.run_folder / "base"
    card = {"front_end": "lfcc", "seconds": 0.5, "corpus": {"name": corpus.name}}
    training: dict[str, Any] = {"epochs": 1, "seed": 0, "random_crop": False, "card": card, "gpu": False}
    list(pretrain(arch, features=features, folder=base, **training))
    return {
        "base": str(base), "features": str(features), "run_folder": str(settings.run_folder), "size_weight": 0.1,
        "size_base": arch.size(), "seed": 0, "threads": 1, "random_crop": False, "precision": "float32",
        "prunings_per_growth": 1, "growth_cache_limit": 0, "gpu": False, "storage": None,
        "activations": str(settings.activations), "activations_limit": 0,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def no_results_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainable without Tune makes itself a folder in the user's ``ray_results``."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray_results"))


@pytest.fixture
def configs(settings: Settings, job: dict[str, Any], tmp_path: Path) -> list[dict[str, Any]]:
    """What a search gives its first trials: the recipe of the space, its initial point, and one that Optuna chooses."""
    (settings.run_folder / "study.journal").unlink(missing_ok=True)
    searcher = make_searcher(settings, job, TrialLog(tmp_path / "trials.jsonl"))
    found = [searcher.suggest(str(number)) for number in range(3)]
    return [config for config in found if isinstance(config, dict)]


def plan(**changes: Any) -> dict[str, Any]:
    """The plan of the space's initial point."""
    arch = Architecture.create("perceptron", {"width": 6})
    point = recipes.initial_points("gentle", space_check.site_infos(arch), space_check.run_budget("perceptron", 4))
    return {**point["initial-first"].plan, **changes}


def trial(config: dict[str, Any]) -> Any:
    """The trainable that carries out the plans of the run's space."""
    return trainables.load(spaces.load(config["plan"]["space"]).PROCEDURE)(config=config)


def test_a_search_gives_trials_of_the_space_their_names_and_plans(configs: list[dict[str, Any]]) -> None:
    control, first, chosen = configs
    assert [config["name"] for config in (control, first)] == ["gentle-0-control", "gentle-1-initial-first"]
    assert chosen["name"].startswith(f"gentle-2-{chosen['plan']['rule']}-".replace("_", "-"))
    assert {config["plan"]["space"] for config in configs} == {"gentle"}
    assert {config["plan"]["procedure"] for config in configs} == {"plasticity"}
    assert (first["plan"]["grow"], first["plan"]["final"]) == ({"hidden": 2}, {"hidden": 6})


def test_a_trial_of_all_of_them_runs_and_leaves_a_detector(configs: list[dict[str, Any]], settings: Settings) -> None:
    seen = criteria.load("second").batches_seen
    del seen[:]
    results = finish(trial(configs[1]))
    assert [result["stage"] for result in results] == ["retrain", "grow", "recover", "recover"]
    assert seen == [2], "one cut, which looked at both batches of 16 utterances"
    found = load_detector(settings.run_folder / "detectors" / "1")
    assert (found.arch.model, found.arch.widths) == ("perceptron", {"hidden": (6,)})
    assert results[-1]["size"] == found.arch.size() == 6 * 20 + 6 + 6 * 4 + 4 * 2 + 2
    assert found.card["plan"]["rule"] == "mean_sign"
    assert finish(trial(configs[0]))[-1]["done"], "and the recipe's, on the same base"


def test_new_neurons_are_the_rules_and_the_cut_keeps_the_criterions(job: dict[str, Any]) -> None:
    base = load_detector(Path(job["base"]))
    split = store.open_split(Path(job["features"]), "train")
    still = dict.fromkeys(("lr", "grow_lr", "recover_lr"), 1e-9)
    short = Plan.from_config(plan(**still, grow_epoch=0, prune_epoch=1), base.arch)
    run = Execution(short, base, split, split, seed=0, device=torch.device("cpu"))
    run.run_epoch()
    grown = run.module.state_dict()
    incoming, outgoing = grown["hidden.parts.0.up.weight"], grown["hidden.parts.0.down.weight"]
    assert incoming.shape == (8, 20)
    with_zero = Plan.from_config({**short.config, "rule": "zero"}, base.arch)
    other = Execution(with_zero, base, split, split, seed=0, device=torch.device("cpu"))
    other.run_epoch()
    as_initialised = other.module.state_dict()["hidden.parts.0.up.weight"][6:]
    signs = (incoming[6:] / as_initialised).round()
    assert torch.equal(signs, signs[0, 0].expand(2, 20))
    torch.testing.assert_close(incoming[6:], signs * as_initialised, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(outgoing[:, 6:], torch.zeros(4, 2), atol=1e-6, rtol=0)
    run.run_epoch()
    kept = run.module.state_dict()["hidden.parts.0.up.weight"]
    torch.testing.assert_close(kept, incoming[[0, 1, 2, 3, 5, 7]], atol=1e-6, rtol=1e-5)


def test_a_criterion_is_tried_where_the_best_is_chosen(configs: list[dict[str, Any]], job: dict[str, Any]) -> None:
    seen = criteria.load("second").batches_seen
    del seen[:]
    config = {**configs[1], "job": {**job, "prunings_per_growth": 2}, "plan": plan(criterion="magnitude"), "number": 9}
    result = finish(trial(config))[-1]
    assert seen, "no plan named it"
    assert result["done"]


def test_spaces_are_told_of_rules_and_criteria(settings: Settings) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = study.ask()
    space_check.search_space(settings)(asked)
    for name, package in (("rule", growth), ("criterion", criteria)):
        choices = asked.distributions[name].choices  # type: ignore[attr-defined]
        assert choices == package.searched()
    assert growth.searched()[-1] == "mean_sign"
    assert criteria.searched()[-1] == "second"
    for space in ("dropin", "plasticity"):
        other = study.ask()
        spaces.load(space).space(other, *space_check.space_arguments(settings))
        assert "mean_sign" in other.distributions["rule"].choices  # type: ignore[attr-defined]


@pytest.mark.parametrize(("package", "name"), [(growth, "mean_sign"), (criteria, "second")])
def test_a_plugin_that_is_not_searched_is_no_choice(
    package: Any, name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed, (sites, _) = plan(), space_check.space_arguments(settings)
    monkeypatch.setattr(package.load(name), "SEARCHED", False)
    budget = space_check.space_arguments(settings)[1]
    assert name not in (*budget.rules, *budget.criteria)
    Plan.from_config(fixed, Architecture.create("perceptron", {"width": 6}))  # which may name it all the same
    with pytest.raises(ValueError, match=f"of an initial point must be one of .*; got '{name}': choose another"):
        recipes.initial_points("gentle", sites, budget)


def test_plans_are_told_in_the_plugins_words() -> None:
    words = plan_in_words(plan())
    assert len(words) == 6
    assert words[1] == "add neurons with the sign of the mean gradient: 2 to hidden"
    assert words[3] == "cut hidden to 6 neurons (every second one first)"


def test_errors_name_them() -> None:
    arch = Architecture.create("perceptron", {"width": 6})
    for changes, known in (
        ({"rule": "magic"}, "rule must be one of random, zero, split, gradmax, mean_sign; got 'magic'"),
        ({"criterion": "luck"}, "activation, random, second; got 'luck'"),
    ):
        with pytest.raises(ValueError, match=known):
            Plan.from_config(plan(**changes), arch)
    for package, known in (
        (growth, "gradmax, mean_sign; got 'another'"),
        (criteria, "random, second; got 'another'"),
        (models, "wav2vec2, perceptron; got 'another'"),
        (corpora, "manifest, tones-high, tones-low; got 'another'"),
        (spaces, "'another'; choose one of dropin, plasticity, gentle"),
    ):
        with pytest.raises(ValueError, match=known):
            package.load("another")
    with pytest.raises(ValueError, match="perceptron has no option depth; it takes width"):
        models.load("perceptron").resolve({"depth": 2})


def test_a_corpus_falls_back_to_the_one_that_its_file_names(tmp_path: Path) -> None:
    assert corpora.is_built("tones-high")
    assert corpora.read("tones-high", None, cache=tmp_path).name == "tones-high"
    (tmp_path / "no-high-tones").touch()
    found = corpora.read("tones-high", None, cache=tmp_path)
    assert found.name == "tones-low"
    (note,) = found.notes
    assert re.search(r"tones-high cannot be built here \(no whistle\).* with tones-low, which is a hum", note)
    with pytest.raises(ValueError, match="corpus tones-low is built by this project and has no root"):
        corpora.read("tones-low", tmp_path, cache=tmp_path)


def test_a_model_says_what_a_search_starts_from(settings: Settings) -> None:
    assert models.load("perceptron").resolve({}) == {"width": 64}
    assert models.search_options("perceptron") == settings.model_option == {"width": 6}


def test_nothing_is_left_of_them(tmp_path: Path) -> None:
    """What this file does to the packages is over when it is."""
    with plugins.added(tmp_path):
        assert growth.NAMES[-1] == "mean_sign"
    for package in plugins.FILES:
        assert str(tmp_path) not in str(importlib.import_module(package).__path__)
