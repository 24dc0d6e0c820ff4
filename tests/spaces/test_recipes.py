"""The paper's recipes, their control, and initial_points, by hand."""

from __future__ import annotations

import pytest

import spaces
from answers import BUDGET, GRNN, RESNET18, STREAMS, Answers, budget_of, wav2vec2
from spaces.recipes import initial_points, recipes
from spaces.shared import SiteInfo


def test_paper_dropin_of_each_model() -> None:
    wide = [SiteInfo(s.name, s.kind, 4 * s.width, s.depth, 4 * s.limit if s.limit else None) for s in RESNET18]
    resnet18 = recipes("dropin", "resnet18", wide, BUDGET)["paper"]
    assert (resnet18["grow"], resnet18["rule"], resnet18["train"]) == (
        {"layer2.branch": 128, "layer3.branch": 256},
        "random",
        "new",
    )
    assert recipes("dropin", "grnn", GRNN, BUDGET)["paper"]["grow"] == {"gru.1": 64}
    base = recipes("dropin", "wav2vec2", wav2vec2(12, 3072, 12), BUDGET)["paper"]
    assert (base["grow"], base["train"]) == ({"encoder.5.branch": 1}, "new+head")
    tiny = recipes("dropin", "wav2vec2", wav2vec2(2, 64, 2), BUDGET)["paper"]
    assert tiny["grow"] == {"encoder.0.branch": 1}


def test_paper_plasticity_removes_what_it_grew_after_thirds() -> None:
    plan = recipes("plasticity", "resnet18", RESNET18, BUDGET)["paper"]
    assert plan["grow"] == {"layer2.branch": 32, "layer3.branch": 64}
    assert plan["final"] == {"layer2.branch": 0, "layer3.branch": 0}
    assert (plan["grow_epoch"], plan["prune_epoch"], plan["prune_steps"]) == (4, 8, 1)
    assert (plan["rule"], plan["criterion"], plan["moments"], plan["after"]) == (
        "random",
        "original",
        "reset",
        "finetune",
    )
    assert recipes("plasticity", "grnn", GRNN, BUDGET)["paper"]["final"] == {"gru.1": 64}


def test_paper_plasticity_of_small_wav2vec2_has_the_papers_size() -> None:
    sites = wav2vec2(12, 512)
    plan = recipes("plasticity", "wav2vec2", sites, budget_of(9, 1e-4, 16, "adamw", 0.0, 1.0))["paper"]
    assert plan["grow"] == {"encoder.0.ff": 5244, "encoder.1.ff": 5244}
    added = sum(plan["grow"].values()) * (2 * 256 + 1)  # a neuron: 256 weights in, a bias, 256 weights out
    assert round((11.25e6 + added) / 1e6, 2) == 16.63
    assert plan["final"] == {"encoder.0.ff": 512, "encoder.1.ff": 512}
    rates = plan["lr"], plan["grow_lr"], plan["recover_lr"]
    assert rates == (pytest.approx(1e-4), pytest.approx(5e-5), pytest.approx(1e-5))


def test_paper_plasticity_of_other_wav2vec2_is_in_proportion_and_bounded() -> None:
    assert recipes("plasticity", "wav2vec2", wav2vec2(2, 64), BUDGET)["paper"]["grow"]["encoder.0.ff"] == 655
    assert recipes("plasticity", "wav2vec2", wav2vec2(12, 3072), BUDGET)["paper"]["grow"]["encoder.0.ff"] == 5244


@pytest.mark.parametrize("epochs", range(2, 31))
def test_control_differs_from_the_paper_in_structure_alone(epochs: int) -> None:
    found = recipes("plasticity", "resnet18", RESNET18, budget_of(epochs))
    paper, control = found["paper"], found["control"]
    differing = {key for key in paper if paper[key] != control[key]}
    assert differing == {"grow", "final", "restarts"}
    assert (control["grow"], control["final"]) == ({}, {})
    boundaries = {paper["grow_epoch"], paper["prune_epoch"]} - {0}
    assert set(control["restarts"]) == boundaries


def test_a_model_that_the_paper_does_not_know_gets_the_control_alone() -> None:
    assert set(recipes("plasticity", "another", GRNN, BUDGET)) == {"control"}
    assert set(recipes("dropin", "another", GRNN, BUDGET)) == {"control"}


def test_plasticity_initial_points_lie_along_the_size_axis() -> None:
    found = initial_points("plasticity", RESNET18, BUDGET)
    assert [point.plan["final"]["layer4.1"] for point in found.values()] == [0, 0, 8, 32, 64, 128]
    assert [point.plan["final"]["layer4.0"] for point in found.values()] == [0, 8, 8, 32, 64, 128]
    for point in found.values():
        assert point.plan["grow"]["layer4.1"] == 32
        assert set(point.plan["final"]) == {site.name for site in RESNET18 if site.kind != "branch"}


def test_initial_points_cut_streams_where_the_upper_blocks_go() -> None:
    found = initial_points("plasticity", [*RESNET18, *STREAMS], BUDGET)
    streams = {name: [point.plan["final"].get(site.name) for site in STREAMS] for name, point in found.items()}
    assert streams["initial-slim"] == [8, 12, 12, 16]
    assert streams["initial-lower-half"] == [12, 20, 24, 32]
    assert list(streams.values())[2:] == 4 * [[None] * 4], "the others keep them"
    assert [found[name].plan["final"]["layer3.0"] for name in ("initial-slim", "initial-lower-half")] == [0, 0]


def test_dropin_initial_points_grow_more_and_more_sites() -> None:
    found = initial_points("dropin", RESNET18, BUDGET)
    assert [len(point.plan["grow"]) for point in found.values()] == [1, 4, 8]
    assert not any("branch" in site for point in found.values() for site in point.plan["grow"])


@pytest.mark.parametrize("name", ["dropin", "plasticity"])
@pytest.mark.parametrize("sites", [RESNET18, GRNN, wav2vec2(2, 64), wav2vec2(12, 512)])
def test_initial_points_are_points_of_their_space(name: str, sites: list[SiteInfo]) -> None:
    for point in initial_points(name, sites, BUDGET).values():
        answers = {key.replace(".", "__"): value for key, value in point.parameters.items()}
        assert spaces.load(name).space(Answers(**answers), sites, BUDGET) == point.plan
