"""The plan parser: what it makes of a plan, worked by hand, and that it refuses exactly what breaks a rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from answers import budget_of
from mutations import mutated, outcome
from spaces.shared import unchanged
from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan

GRNN = Architecture.create("grnn", {"layers": [4, 8]})
RESNET18 = Architecture.create("resnet18", {"width": 4})
PLASTICITY = unchanged("plasticity", budget_of(9))
DROPIN = unchanged("dropin", budget_of(9))


def test_stages_of_plasticity_by_hand() -> None:
    changes = {
        "grow": {"layer1.0": 4}, "grow_epoch": 2, "final": {"layer1.0": 2, "layer4.1": 16}, "prune_epoch": 5,
        "prune_steps": 3, "criterion": "taylor",
    }  # fmt: skip
    plan = Plan.from_config({**PLASTICITY, **changes}, RESNET18)
    assert [(stage.name, stage.epochs) for stage in plan.stages] == [
        ("retrain", 2),
        ("grow", 3),
        ("prune", 1),
        ("prune", 1),
        ("recover", 2),
    ]
    widths = [(s.arch.total_widths()["layer1.0"], s.arch.total_widths()["layer4.1"]) for s in plan.stages]
    assert widths == [(4, 32), (8, 32), (6, 27), (4, 21), (2, 16)]  # a third of the way each: 26.67 and 21.33 rounded
    assert plan.final.total_widths() == {**RESNET18.total_widths(), "layer1.0": 2, "layer4.1": 16}


def test_where_changes_lie_and_how_much_work_is_done() -> None:
    """Growth after 2 of 9 epochs, a far cut after 5 in two steps, the second at 6."""
    far = {site: 1 for site in RESNET18.widths if not site.endswith(("branch", "stream"))}
    changes = {"grow": {"layer1.0": 4}, "grow_epoch": 2, "final": far, "prune_epoch": 5, "prune_steps": 2}
    plan = Plan.from_config({**PLASTICITY, **changes}, RESNET18)
    assert (plan.first_cut, plan.last_cut, plan.last_change) == (5, 6, 6)
    sizes = [stage.arch.size() for stage in plan.stages]
    work = [2 * sizes[0], 3 * sizes[1], sizes[2], 3 * sizes[3]]
    assert plan.work_done(0) == 0
    assert plan.work_done(5) == pytest.approx((work[0] + work[1]) / sum(work))
    assert plan.work_done(5) > 5 / 9, "the dear part comes first"
    assert plan.work_done(9) == 1
    grown = Plan.from_config({**DROPIN, "grow": {"gru.0": 4}, "grow_steps": 2, "train": "new"}, GRNN)
    assert (grown.first_cut, grown.last_cut, grown.last_change) == (None, 0, 4)


def test_stages_of_dropin_by_hand() -> None:
    changes = {"grow": {"gru.0": 5, "gru.1": 1}, "grow_steps": 2, "train": "new"}
    plan = Plan.from_config({**DROPIN, **changes}, GRNN)
    assert [(stage.epochs, dict(stage.grow)) for stage in plan.stages] == [
        (4, {"gru.0": 2}),
        (5, {"gru.0": 3, "gru.1": 1}),
    ]
    assert plan.final.total_widths() == {"gru.0": 9, "gru.1": 9}


def test_the_optimiser_starts_afresh_where_told() -> None:
    changes = {"grow": {"gru.0": 4}, "grow_epoch": 3, "final": {"gru.0": 4}, "prune_epoch": 6, "restarts": [1, 7]}
    carried = Plan.from_config({**PLASTICITY, **changes, "moments": "carry"}, GRNN)
    assert [(s.epochs, s.fresh_optimizer) for s in carried.stages] == [
        (1, True), (2, True), (3, False), (1, False), (2, True)
    ]  # fmt: skip
    reset = Plan.from_config({**PLASTICITY, **changes, "moments": "reset"}, GRNN)
    assert [s.fresh_optimizer for s in reset.stages] == [True] * 5


def test_learning_rates_by_hand() -> None:
    changes = {"epochs": 6, "grow_epoch": 2, "prune_epoch": 4, "lr": 0.4, "grow_lr": 0.2, "recover_lr": 0.1}
    plan = Plan.from_config({**PLASTICITY, **changes}, GRNN)
    assert plan.learning_rates() == [0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    plan = Plan.from_config({**PLASTICITY, **changes, "after": "rewind_lr", "schedule": "cosine"}, GRNN)
    assert plan.learning_rates() == pytest.approx([0.4, 0.2, 0.2, 0.1, 0.2, 0.1])  # (1 + cos(pi / 2)) / 2 = 1/2


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"procedure": "morphnet"}, "procedure must be one of dropin, plasticity; got 'morphnet'"),
        ({"space": "morphnet", "procedure": None}, "procedure must be one of dropin, plasticity; got 'morphnet'"),
        ({"space": 3}, "space must be the name of a space; got 3"),
        ({"space": ""}, "space must be the name of a space; got ''"),
        ({"rule": "split2"}, "rule must be one of"),
        ({"train": "head"}, "train must be one of"),
        ({"criterion": "size"}, "criterion must be one of"),
        ({"after": "stop"}, "after must be one of"),
        ({"moments": "keep"}, "moments must be one of"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"schedule": "linear"}, "schedule must be one of"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"epochs": 9.0}, "epochs must be a whole number"),
        ({"batch_size": True}, "batch_size must be a whole number"),
        ({"prune_steps": 0}, "prune_steps must be a whole number"),
        ({"grow_epoch": -1}, "grow_epoch must be a whole number"),
        ({"lr": 0.0}, "lr must be a number"),
        ({"lr": float("nan")}, "lr must be a number"),
        ({"recover_lr": "fast"}, "recover_lr must be a number"),
        ({"clip": -1.0}, "clip must be a number"),
        ({"weight_decay": float("inf")}, "weight_decay must be a number"),
        ({"grow": {"gru.0": 0}}, "whole number of at least 1"),
        ({"grow": {"gru.7": 1}}, "no site 'gru.7'"),
        ({"grow_epoch": 9}, "grow_epoch must lie before the end"),
        ({"grow_epoch": 4, "prune_epoch": 4}, "prune_epoch must lie after grow_epoch"),
        ({"prune_epoch": 10}, "at most at 9; got 10"),
        ({"prune_epoch": 7, "prune_steps": 3, "final": {"gru.0": 2}}, "3 cuts from epoch 7 on do not fit"),
        ({"final": {"gru.0": 2}}, "final widths need a cut before the end"),
        ({"prune_epoch": 5, "final": {"gru.7": 2}}, "final names 'gru.7'"),
        ({"prune_epoch": 5, "final": {"gru.0": 5}}, "has 4 neurons after growth and cannot be cut to 5"),
        ({"prune_epoch": 5, "final": {"gru.0": 0}}, "must keep at least 1 neuron"),
        ({"restarts": [9]}, "can restart before epoch 9; got 9"),
        ({"train": "new"}, "plasticity grows once"),
        ({"grow_steps": 2}, "plasticity grows once"),
        ({"procedure": "dropin", "grow": {"gru.0": 2}, "prune_epoch": 5}, "dropin grows at epoch 0 and never prunes"),
        ({"procedure": "dropin", "grow": {"gru.0": 2}, "grow_epoch": 1}, "dropin grows at epoch 0 and never prunes"),
        ({"procedure": "dropin", "grow": {"gru.0": 3}, "grow_steps": 3}, "dropin grows in 1 step, or in 2"),
    ],
)
def test_a_bad_plan_is_refused_with_the_rule_it_breaks(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Plan.from_config({**PLASTICITY, **changes}, GRNN)


@pytest.mark.parametrize("rule", ["split", "gradmax"])
def test_a_branch_has_no_neurons_to_start_from(rule: str) -> None:
    with pytest.raises(ValueError, match=r"layer2\.branch"):
        Plan.from_config({**DROPIN, "grow": {"layer2.branch": 4}, "rule": rule}, RESNET18)


def test_a_site_grows_to_its_limit_only() -> None:
    with pytest.raises(ValueError, match="takes at most 8 neurons"):
        Plan.from_config({**DROPIN, "grow": {"layer2.branch": 9}}, RESNET18)


def test_a_plan_without_a_procedure_is_one_of_the_procedure_that_its_space_is_called() -> None:
    for plan in (DROPIN, PLASTICITY):
        earlier = {key: value for key, value in plan.items() if key != "procedure"}
        assert Plan.from_config(earlier, GRNN) == Plan.from_config(plan, GRNN)


def test_a_space_can_have_any_name() -> None:
    plan = Plan.from_config({**PLASTICITY, "space": "another"}, GRNN)
    assert (plan.procedure, plan.config["space"]) == ("plasticity", "another")
    assert plan.stages == Plan.from_config(PLASTICITY, GRNN).stages


def test_missing_and_unknown_keys_are_named() -> None:
    with pytest.raises(ValueError, match=r"missing \['clip'\], unknown \['dropout'\]"):
        Plan.from_config({**{k: v for k, v in PLASTICITY.items() if k != "clip"}, "dropout": 0.1}, GRNN)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_plan_is_accepted_if_and_only_if_it_keeps_the_rules(data: st.DataObject) -> None:
    sites = ["layer1.0", "layer2.branch", "layer4.1"]
    original = {"layer1.0": 4, "layer2.branch": 0, "layer4.1": 32}
    plan: dict[str, Any] = {
        **PLASTICITY,
        "procedure": data.draw(st.sampled_from(["dropin", "plasticity"])),
        "epochs": data.draw(st.integers(1, 6)),
        "grow": data.draw(st.dictionaries(st.sampled_from(sites), st.integers(0, 9), max_size=2)),
        "rule": data.draw(st.sampled_from(["random", "split"])),
        "grow_epoch": data.draw(st.integers(0, 2)),
        "grow_steps": data.draw(st.integers(1, 2)),
        "prune_epoch": data.draw(st.integers(0, 6)),
        "prune_steps": data.draw(st.integers(1, 3)),
        "final": data.draw(st.dictionaries(st.sampled_from(sites), st.integers(0, 6), max_size=2)),
    }
    if plan["procedure"] == "dropin":
        plan.update(grow_epoch=data.draw(st.sampled_from([0, 0, 1])), prune_epoch=plan["epochs"], final={})
    else:
        plan["grow_steps"] = data.draw(st.sampled_from([1, 1, 2]))
    # Whether growth in two steps may leave the first one empty is not what this test is about.
    assume(plan["grow_steps"] == 1 or any(count > 1 for count in plan["grow"].values()))
    epochs, grow_epoch, prune_epoch, steps = (plan[k] for k in ("epochs", "grow_epoch", "prune_epoch", "prune_steps"))
    grows = all(count >= 1 for count in plan["grow"].values()) and plan["grow"].get("layer2.branch", 0) <= 8
    grows = grows and not (plan["rule"] == "split" and "layer2.branch" in plan["grow"])
    fits = grow_epoch < epochs and grow_epoch < prune_epoch <= epochs
    if plan["procedure"] == "dropin":
        keeps = grows and fits and grow_epoch == 0 and plan["grow_steps"] <= epochs
    else:
        grown = {site: width + plan["grow"].get(site, 0) for site, width in original.items()}
        cuts = all(0 <= width <= grown[site] for site, width in plan["final"].items())  # all of these can be removed
        cuts = cuts and (prune_epoch + steps <= epochs if prune_epoch < epochs else not plan["final"])
        keeps = grows and fits and cuts and plan["grow_steps"] == 1
    if keeps:
        assert Plan.from_config(plan, RESNET18).epochs == epochs
    else:
        with pytest.raises(ValueError, match=r"."):
            Plan.from_config(plan, RESNET18)


CUT = {**PLASTICITY, "prune_epoch": 5}
VALID = (
    ({**DROPIN, "grow": {"gru.0": 5, "gru.1": 1}, "grow_steps": 2, "train": "new"}, GRNN),
    ({**CUT, "grow": {"gru.0": 4}, "grow_epoch": 3, "final": {"gru.0": 4}, "restarts": [7]}, GRNN),
    ({**CUT, "grow": {"layer2.branch": 4}, "final": {"layer1.0": 0}, "prune_steps": 3}, RESNET18),
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), case=st.sampled_from(VALID))
def test_any_plan_is_taken_or_refused(data: st.DataObject, case: tuple[dict[str, Any], Architecture]) -> None:
    config, base = case
    changed = data.draw(mutated(config))
    plan = outcome(Plan.from_config, changed, base)
    if isinstance(plan, ValueError):
        assert str(plan)
        return
    assert plan.epochs == changed["epochs"] == len(plan.learning_rates())
    assert all(width <= 2**20 for width in plan.final.total_widths().values())


@pytest.mark.parametrize("key", ["epochs", "prune_steps", "batch_size", "prune_epoch"])
def test_a_plan_without_measure_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} must be a whole number of at most"):
        Plan.from_config({**PLASTICITY, key: 10**12}, GRNN)
    with pytest.raises(ValueError, match=r"final\[gru\.0\] must be a whole number of at most"):
        Plan.from_config({**PLASTICITY, "prune_epoch": 5, "final": {"gru.0": 10**12}}, GRNN)
