"""Spaces and recipes on hand-worked cases: which numbers come out of which parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

import spaces
from answers import BUDGET, CHANNELS, GRNN, RESNET18, STREAMS, Answers, budget_of, wav2vec2
from spaces import dropin, plasticity, shared
from spaces.recipes import initial_points, recipes
from spaces.shared import SiteInfo


@pytest.mark.parametrize(
    ("width", "level", "count"), [(16, 0, 0), (16, 1, 2), (16, 2, 4), (16, 3, 8), (16, 4, 16), (4, 1, 1), (1, 1, 1)]
)
def test_growth_levels_are_fractions_of_the_width(width: int, level: int, count: int) -> None:
    assert shared.neurons(SiteInfo("a", "inner", width, 0), level) == count


def test_growth_stops_at_the_limit() -> None:
    assert shared.neurons(SiteInfo("a", "heads", 4, 0, limit=6), 4) == 2
    assert shared.growable([SiteInfo("full", "heads", 4, 0, limit=4)]) == ()


@pytest.mark.parametrize(("level", "count"), [(0, 0), (5, 0), (6, 16), (7, 32)])
def test_branch_levels_are_fractions_of_the_limit(level: int, count: int) -> None:
    assert shared.neurons(SiteInfo("b", "branch", 0, 0, limit=32), level) == count


def test_a_branch_without_a_limit_cannot_grow() -> None:
    assert shared.growable([SiteInfo("b", "branch", 0, 0)]) == ()


def test_plasticity_by_hand() -> None:
    answers = Answers(
        grow__gru__0=2, grow__gru__3=4, final__all=10, final__gru__0=2, final__gru__1=0, final__gru__2=-2,
        final__gru__3=1, rule="split", grow_at=2, prune_at=3, prune_steps=3, criterion="taylor", lr_factor=0.5,
        recover_factor=0.1,
    )  # fmt: skip
    plan = plasticity.space(answers, GRNN, BUDGET)
    assert plan["grow"] == {"gru.0": 16, "gru.3": 32}
    # 5/4 of 64 is all there is after growth; 1 of 64 is all there is; 3/4 of 32; 9/8 of 32
    assert plan["final"] == {"gru.2": 24, "gru.3": 36}
    assert (plan["grow_epoch"], plan["prune_epoch"], plan["prune_steps"]) == (4, 8, 3)
    assert (plan["rule"], plan["criterion"], plan["after"]) == ("split", "taylor", "finetune")
    assert (plan["lr"], plan["recover_lr"]) == (pytest.approx(5e-4), pytest.approx(5e-5))


def test_plasticity_without_change_is_a_plain_retrain() -> None:
    answers = {"final__all": 10, **{f"final__gru__{layer}": 0 for layer in range(4)}}
    plan = plasticity.space(Answers(**answers, rule="gradmax", lr_factor=1.0), GRNN, BUDGET)
    assert plan == shared.unchanged("plasticity", BUDGET)


def test_plasticity_of_many_sites_uses_kinds_and_a_window() -> None:
    answers = Answers(
        window__first=10, window__layers=4, grow__inner=3, grow__heads=1, final__inner=8, tilt__inner=2,
        final__heads=10,
    )  # fmt: skip
    plan = plasticity.space(answers, wav2vec2(12, 512), BUDGET)
    grown = {"encoder.10.ff": 256, "encoder.11.ff": 256, "encoder.10.heads": 1, "encoder.11.heads": 1}
    assert plan["grow"] == grown
    # level 8 - 2 = 1/2 at the first layer, level 8 + 2 = 1 at the last; heads: tilt -2, level 10 - 2 = 3/4 at the last
    assert plan["final"]["encoder.0.ff"] == 256
    assert plan["final"]["encoder.11.ff"] == 512
    assert "encoder.0.heads" not in plan["final"]
    assert plan["final"]["encoder.11.heads"] == 3


@pytest.mark.parametrize("name", ["dropin", "plasticity"])
def test_many_sites_need_few_parameters(name: str) -> None:
    asked: set[str] = set()

    class Counting(Answers):
        def suggest_int(self, name: str, low: int, high: int) -> int:
            asked.add(name)
            return super().suggest_int(name, low, high)

    spaces.load(name).space(Counting(), wav2vec2(12, 3072, 12), BUDGET)
    assert len(asked) <= 11


def test_dropin_grows_nothing_below_the_lowest_site() -> None:
    levels = {f"grow__layer{layer}__{block}": 1 for layer in CHANNELS for block in (0, 1)}
    plan = dropin.space(Answers(lowest=8, **levels), RESNET18, BUDGET)
    assert plan["grow"] == {"layer4.0": 16, "layer4.1": 16}


def test_dropin_always_grows_the_lowest_site() -> None:
    assert dropin.space(Answers(lowest=9), RESNET18, BUDGET)["grow"] == {"layer4.1": 16}
    assert dropin.space(Answers(lowest=3), RESNET18, BUDGET)["grow"] == {"layer2.branch": 16}


@pytest.mark.parametrize(("rule", "used"), [("random", "random"), ("split", "zero"), ("gradmax", "zero")])
def test_dropin_grows_branches_by_a_rule_that_can(rule: str, used: str) -> None:
    assert dropin.space(Answers(lowest=3, rule=rule), RESNET18, BUDGET)["rule"] == used
    assert dropin.space(Answers(lowest=9, rule=rule), RESNET18, BUDGET)["rule"] == rule


def test_dropin_grows_in_one_step_where_a_half_would_be_nothing() -> None:
    sites = [SiteInfo("a", "inner", 4, 0), SiteInfo("b", "branch", 0, 0, 1)]
    assert dropin.space(Answers(grow_steps=2, grow__a=1, grow__b=7), sites, BUDGET)["grow_steps"] == 1
    assert dropin.space(Answers(grow_steps=2, grow__a=4, grow__b=7), sites, BUDGET)["grow_steps"] == 2
    assert dropin.space(Answers(grow_steps=1, grow__a=4, grow__b=7), sites, BUDGET)["grow_steps"] == 1


@pytest.mark.parametrize("answers", [{"kind": "branch"}, {"kind": "inner"}, {"kind": "heads"}])
def test_dropin_of_many_sites_grows_the_forced_kind(answers: dict[str, int | float | str]) -> None:
    plan = dropin.space(Answers(window__first=5, window__layers=2, **answers), wav2vec2(12, 512), BUDGET)
    expected = {
        "branch": {"encoder.5.branch": 1},
        "inner": {"encoder.5.ff": 64, "encoder.6.ff": 64},
        "heads": {"encoder.5.heads": 1, "encoder.6.heads": 1},
    }
    assert plan["grow"] == expected[str(answers["kind"])]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"stream__all": 10}, {}),
        ({"stream__all": 12, "stream__tilt": -2}, {}),
        ({"stream__all": 11, "stream__tilt": -2}, {"layer4.stream": 112}),
        ({"stream__all": 6}, {"layer1.stream": 8, "layer2.stream": 16, "layer3.stream": 32, "layer4.stream": 64}),
        (
            {"stream__all": 2, "stream__tilt": 2},
            {"layer1.stream": 1, "layer2.stream": 2, "layer3.stream": 12, "layer4.stream": 32},
        ),
    ],
)
def test_streams_have_a_level_of_their_own_and_never_end_above_their_width(
    answers: Mapping[str, int], expected: Mapping[str, int]
) -> None:
    plan = plasticity.space(Answers(**{"final__all": 10, "stream__tilt": 0, **answers}), [*RESNET18, *STREAMS], BUDGET)
    assert {name: width for name, width in plan["final"].items() if "stream" in name} == expected
    assert not any("stream" in name for name in plan["grow"])


def test_prunings_cut_streams_further_and_less_far() -> None:
    answers = initial_points("plasticity", [*RESNET18, *STREAMS], BUDGET)["initial-half"].parameters
    levels = [point["stream.all"] for point in plasticity.prunings(answers)]
    assert levels[:3] == [12, 12, 8], "levels above 10 count as 10"
    assert set(levels) == {8, 9, 12}
    low = plasticity.prunings({**answers, "stream.all": 3})
    assert {point["stream.all"] for point in low} == {2, 3, 5}


def test_prunings_go_lower_remove_and_go_higher() -> None:
    answers = initial_points("plasticity", RESNET18, BUDGET)["initial-quarter"].parameters
    found = plasticity.prunings(answers)

    def widths(point: Mapping[str, int | float | str]) -> list[int]:
        plan = plasticity.space(Answers(**{k.replace(".", "__"): v for k, v in point.items()}), RESNET18, BUDGET)
        return [plan["final"][site.name] for site in RESNET18 if site.kind != "branch"]

    assert widths(found[0]) == [2, 2, 4, 4, 8, 8, 16, 16]
    assert widths(found[1]) == [2, 2, 4, 4, 0, 0, 0, 0]
    assert widths(found[2]) == [8, 8, 16, 16, 32, 32, 64, 64]
    assert widths(found[5]) == [2, 2, 4, 4, 8, 8, 16, 0]
    lowest = plasticity.prunings({**answers, "final.all": 1})
    assert [point["final.all"] for point in lowest[:3]] == [1, 3, 2]


def test_what_can_be_removed_is_and_elsewhere_a_neuron_stays() -> None:
    lowest = {f"final__{site.name.replace('.', '__')}": -2 for site in [*RESNET18, *GRNN]}
    assert set(plasticity.space(Answers(final__all=1, **lowest), RESNET18, BUDGET)["final"].values()) == {0}
    assert set(plasticity.space(Answers(final__all=1, **lowest), GRNN, BUDGET)["final"].values()) == {1}
    assert len(initial_points("plasticity", GRNN, BUDGET)) == 4
    many = initial_points("plasticity", wav2vec2(12, 512), BUDGET)["initial-lower-half"].plan["final"]
    assert many["encoder.0.ff"] == 96  # level 1 + 2 at the first layer, below 0 at the last
    assert many["encoder.11.ff"] == many["encoder.11.heads"] == 0


def test_names_and_load() -> None:
    assert spaces.names()[:2] == ("dropin", "plasticity")
    assert spaces.load("dropin") is dropin
    with pytest.raises(ValueError, match="'morphnet'; choose one of dropin, plasticity"):
        spaces.load("morphnet")


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 epoch; got 0"):
        budget_of(0)
    with pytest.raises(ValueError, match="learning rate of a budget must be above 0"):
        budget_of(1, 0.0)
    with pytest.raises(ValueError, match=r"must have growth rules and criteria to choose from; got \(\) and \('orig"):
        dataclasses.replace(BUDGET, rules=())
    with pytest.raises(ValueError, match="must have growth rules and criteria to choose from"):
        dataclasses.replace(BUDGET, criteria=())
    with pytest.raises(ValueError, match="no '/'"):
        SiteInfo("encoder/0", "inner", 8, 0)
    with pytest.raises(ValueError, match="at least 0; a has -1"):
        SiteInfo("a", "inner", -1, 0)
    one_epoch = budget_of(1)
    with pytest.raises(ValueError, match="plasticity needs at least 2 epochs"):
        plasticity.space(Answers(), GRNN, one_epoch)
    with pytest.raises(ValueError, match="plasticity needs at least 2 epochs"):
        recipes("plasticity", "grnn", GRNN, one_epoch)
    with pytest.raises(ValueError, match="plasticity needs a site"):
        plasticity.space(Answers(), [SiteInfo("b", "branch", 0, 0, 8)], BUDGET)
    with pytest.raises(ValueError, match="dropin needs a site with room"):
        dropin.space(Answers(), [SiteInfo("b", "branch", 0, 0)], BUDGET)
    with pytest.raises(ValueError, match="unknown space"):
        recipes("morphnet", "grnn", GRNN, BUDGET)
