"""Spaces and recipes on hand-worked cases: which numbers come out of which parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

import spaces
from spaces import dropin, plasticity, shared
from spaces.recipes import anchors, recipes
from spaces.shared import Budget, SiteInfo

BUDGET = Budget(epochs=12, lr=1e-3, batch_size=32, optimizer="adam", weight_decay=0.0, clip=0.0)
CHANNELS = {1: 16, 2: 32, 3: 64, 4: 128}
RESNET18 = [
    site
    for layer, width in CHANNELS.items()
    for site in (
        SiteInfo(f"layer{layer}.0", "inner", width, 2 * layer, removable=True),
        *([SiteInfo(f"layer{layer}.branch", "branch", 0, 2 * layer, width)] if layer in (2, 3) else []),
        SiteInfo(f"layer{layer}.1", "inner", width, 2 * layer + 1, removable=True),
    )
]
STREAMS = [SiteInfo(f"layer{n}.stream", "stream", width, 2 * n + 1, width) for n, width in CHANNELS.items()]
GRNN = [SiteInfo(f"gru.{layer}", "recurrent", width, layer) for layer, width in enumerate((64, 64, 32, 32))]


def wav2vec2(layers: int, feed_forward: int, heads: int = 4) -> list[SiteInfo]:
    """The sites of an encoder; a branch is one neuron, there or not."""
    return [
        site
        for layer in range(layers)
        for site in (
            SiteInfo(f"encoder.{layer}.heads", "heads", heads, 2 * layer, removable=True),
            SiteInfo(f"encoder.{layer}.branch", "branch", 0, 2 * layer, 1),
            SiteInfo(f"encoder.{layer}.ff", "inner", feed_forward, 2 * layer + 1, removable=True),
        )
    ]


class Answers:
    """A trial that answers from a table, else with the lowest value or the first choice."""

    def __init__(self, **answers: int | float | str) -> None:
        self.answers: Mapping[str, int | float | str] = {k.replace("__", "."): v for k, v in answers.items()}

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """The answer."""
        return int(self.answers.get(name, low))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """The answer."""
        return float(self.answers.get(name, low))

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """The answer."""
        return str(self.answers.get(name, choices[0]))


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
    plan = recipes("plasticity", "wav2vec2", sites, Budget(9, 1e-4, 16, "adamw", 0.0, 1.0))["paper"]
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
    found = recipes("plasticity", "resnet18", RESNET18, Budget(epochs, 1e-3, 32, "adam", 0.0, 0.0))
    paper, control = found["paper"], found["control"]
    differing = {key for key in paper if paper[key] != control[key]}
    assert differing == {"grow", "final", "restarts"}
    assert (control["grow"], control["final"]) == ({}, {})
    boundaries = {paper["grow_epoch"], paper["prune_epoch"]} - {0}
    assert set(control["restarts"]) == boundaries


def test_a_model_that_the_paper_does_not_know_gets_the_control_alone() -> None:
    assert set(recipes("plasticity", "another", GRNN, BUDGET)) == {"control"}
    assert set(recipes("dropin", "another", GRNN, BUDGET)) == {"control"}


def test_plasticity_anchors_lie_along_the_size_axis() -> None:
    found = anchors("plasticity", RESNET18, BUDGET)
    assert [anchor.plan["final"]["layer4.1"] for anchor in found.values()] == [0, 0, 8, 32, 64, 128]
    assert [anchor.plan["final"]["layer4.0"] for anchor in found.values()] == [0, 8, 8, 32, 64, 128]
    for anchor in found.values():
        assert anchor.plan["grow"]["layer4.1"] == 32
        assert set(anchor.plan["final"]) == {site.name for site in RESNET18 if site.kind != "branch"}


def test_anchors_cut_streams_where_the_upper_blocks_go() -> None:
    found = anchors("plasticity", [*RESNET18, *STREAMS], BUDGET)
    streams = {name: [anchor.plan["final"].get(site.name) for site in STREAMS] for name, anchor in found.items()}
    assert streams["anchor-slim"] == [8, 12, 12, 16]
    assert streams["anchor-lower-half"] == [12, 20, 24, 32]
    assert list(streams.values())[2:] == 4 * [[None] * 4], "the others keep them"
    assert [found[name].plan["final"]["layer3.0"] for name in ("anchor-slim", "anchor-lower-half")] == [0, 0]


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
    answers = anchors("plasticity", [*RESNET18, *STREAMS], BUDGET)["anchor-half"].parameters
    levels = [point["stream.all"] for point in plasticity.prunings(answers)]
    assert levels[:3] == [12, 12, 8], "levels above 10 count as 10"
    assert set(levels) == {8, 9, 12}
    low = plasticity.prunings({**answers, "stream.all": 3})
    assert {point["stream.all"] for point in low} == {2, 3, 5}


def test_prunings_go_lower_remove_and_go_higher() -> None:
    answers = anchors("plasticity", RESNET18, BUDGET)["anchor-quarter"].parameters
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
    assert len(anchors("plasticity", GRNN, BUDGET)) == 4
    many = anchors("plasticity", wav2vec2(12, 512), BUDGET)["anchor-lower-half"].plan["final"]
    assert many["encoder.0.ff"] == 96  # level 1 + 2 at the first layer, below 0 at the last
    assert many["encoder.11.ff"] == many["encoder.11.heads"] == 0


def test_dropin_anchors_grow_more_and_more_sites() -> None:
    found = anchors("dropin", RESNET18, BUDGET)
    assert [len(anchor.plan["grow"]) for anchor in found.values()] == [1, 4, 8]
    assert not any("branch" in site for anchor in found.values() for site in anchor.plan["grow"])


@pytest.mark.parametrize("name", ["dropin", "plasticity"])
@pytest.mark.parametrize("sites", [RESNET18, GRNN, wav2vec2(2, 64), wav2vec2(12, 512)])
def test_anchors_are_points_of_their_space(name: str, sites: list[SiteInfo]) -> None:
    for anchor in anchors(name, sites, BUDGET).values():
        answers = {key.replace(".", "__"): value for key, value in anchor.parameters.items()}
        assert spaces.load(name).space(Answers(**answers), sites, BUDGET) == anchor.plan


def test_names_and_load() -> None:
    assert spaces.names() == ("dropin", "plasticity")
    assert spaces.load("dropin") is dropin
    with pytest.raises(ValueError, match="'morphnet'; choose one of dropin, plasticity"):
        spaces.load("morphnet")


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 epoch; got 0"):
        Budget(0, 1e-3, 32, "adam", 0.0, 0.0)
    with pytest.raises(ValueError, match="learning rate of a budget must be above 0"):
        Budget(1, 0.0, 32, "adam", 0.0, 0.0)
    with pytest.raises(ValueError, match="no '/'"):
        SiteInfo("encoder/0", "inner", 8, 0)
    with pytest.raises(ValueError, match="at least 0; a has -1"):
        SiteInfo("a", "inner", -1, 0)
    one_epoch = Budget(1, 1e-3, 32, "adam", 0.0, 0.0)
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
