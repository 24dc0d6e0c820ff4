"""Whatever a trial answers, a plan keeps the rules of plans; they are written down here a second time, on their own."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spaces
from answers import BRANCH_REFUSES, CRITERIA, RULES, budget_of
from spaces.recipes import initial_points, recipes
from spaces.shared import Budget, SiteInfo

KEYS = {
    *("space", "procedure", "epochs", "grow", "rule", "grow_epoch", "grow_steps", "train", "prune_epoch"),
    *("prune_steps", "final", "criterion", "after", "moments", "restarts", "optimizer", "lr", "grow_lr", "recover_lr"),
    *("schedule", "weight_decay", "clip", "batch_size"),
}


class Adversary:
    """A trial whose answers hypothesis chooses, extremes first; it keeps what was asked."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.asked: dict[str, object] = {}

    def _remember(self, name: str, *distribution: object) -> None:
        assert name not in self.asked, f"{name} asked twice"
        assert "/" not in name
        self.asked[name] = distribution

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Any whole number of the range."""
        self._remember(name, low, high)
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Any number of the range."""
        self._remember(name, low, high, log)
        return self.data.draw(st.floats(low, high), label=name)

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """Any choice."""
        self._remember(name, *choices)
        return self.data.draw(st.sampled_from(list(choices)), label=name)


@st.composite
def site_lists(draw: st.DrawFn) -> list[SiteInfo]:
    """Up to 40 sites of any kinds, at least one of which has neurons and can grow."""
    count = draw(st.integers(1, 40))
    sites = [SiteInfo("first", "inner", draw(st.integers(1, 600)), 0)]
    for number in range(1, count):
        kind = draw(st.sampled_from(["inner", "recurrent", "heads", "branch", "stream"]))
        width = 0 if kind == "branch" else draw(st.integers(1, 16 if kind == "heads" else 600))
        limit = width if kind == "stream" else draw(st.none() | st.integers(max(1, width), 2 * width + 64))
        refused = BRANCH_REFUSES if kind == "branch" else ()
        sites.append(SiteInfo(f"site.{number}", kind, width, draw(st.integers(0, count)), limit, refused_rules=refused))
    return sites


def check(plan: dict[str, Any], sites: Sequence[SiteInfo], budget: Budget) -> None:
    """The rules of a plan."""
    assert set(plan) == KEYS
    assert json.loads(json.dumps(plan)) == plan
    known = {site.name: site for site in sites}
    epochs = plan["epochs"]
    assert epochs == budget.epochs
    assert plan["rule"] in {"random", "zero", "split", "gradmax"}
    assert plan["criterion"] in {"original", "magnitude", "taylor", "activation", "random"}
    assert plan["after"] in {"finetune", "rewind_weights", "rewind_lr"}
    assert plan["moments"] in {"carry", "reset"}
    assert plan["schedule"] in {"constant", "cosine"}
    for key in ("lr", "grow_lr", "recover_lr"):
        assert math.isfinite(plan[key])
        assert 0.004 * budget.lr < plan[key] < (64.1 if plan["procedure"] == "dropin" else 4.001) * budget.lr
    for key in ("optimizer", "weight_decay", "clip", "batch_size"):
        assert plan[key] == getattr(budget, key)
    for count in (*plan["grow"].values(), *plan["final"].values(), plan["grow_epoch"], plan["prune_epoch"]):
        assert type(count) is int
    for name, count in plan["grow"].items():
        assert count >= 1
        limit = known[name].limit
        assert limit is None or known[name].width + count <= limit
        if known[name].kind == "branch":
            assert plan["rule"] in {"random", "zero"}
    for name, width in plan["final"].items():
        assert 0 <= width < known[name].width + plan["grow"].get(name, 0), "a cut removes something"
        assert width >= 1 or known[name].kind == "branch"
    assert 0 <= plan["grow_epoch"] < epochs
    if plan["procedure"] == "dropin":
        assert (plan["grow_epoch"], plan["prune_epoch"], plan["prune_steps"]) == (0, epochs, 1)
        assert plan["final"] == {}
        assert plan["train"] in ({"new", "new+head"} if plan["grow"] else {"all"})
        assert plan["grow_steps"] in {1, 2}
        assert plan["grow_steps"] <= min(epochs, max([*plan["grow"].values(), 1]))
    else:
        assert (plan["train"], plan["grow_steps"]) == ("all", 1)
        assert plan["grow_epoch"] < plan["prune_epoch"] <= epochs
        assert plan["prune_steps"] >= 1
        if plan["final"]:
            assert plan["prune_epoch"] + plan["prune_steps"] <= epochs, "an epoch is left after the last cut"
    assert all(0 < epoch < epochs for epoch in plan["restarts"])


BUDGETS = st.builds(
    Budget,
    epochs=st.integers(2, 30),
    lr=st.floats(1e-6, 1e-2),
    batch_size=st.integers(1, 64),
    optimizer=st.sampled_from(["adam", "adamw"]),
    weight_decay=st.floats(0, 0.1),
    clip=st.floats(0, 5),
    rules=st.just(RULES),
    criteria=st.just(CRITERIA),
)


@pytest.mark.parametrize("name", spaces.names())
@settings(max_examples=150, deadline=None)
@given(data=st.data(), sites=site_lists(), budget=BUDGETS)
def test_every_plan_of_a_space_keeps_the_rules(
    name: str, data: st.DataObject, sites: list[SiteInfo], budget: Budget
) -> None:
    plan = spaces.load(name).space(Adversary(data), sites, budget)
    check(plan, sites, budget)
    assert plan["space"] == name
    if name == "dropin":
        assert plan["grow"]


@pytest.mark.parametrize("name", spaces.names())
@settings(max_examples=50, deadline=None)
@given(data=st.data(), sites=site_lists(), budget=BUDGETS)
def test_every_trial_is_asked_the_same(name: str, data: st.DataObject, sites: list[SiteInfo], budget: Budget) -> None:
    one, other = Adversary(data), Adversary(data)
    spaces.load(name).space(one, sites, budget)
    spaces.load(name).space(other, sites, budget)
    assert one.asked == other.asked
    assert list(one.asked) == list(other.asked)


@pytest.mark.parametrize("name", spaces.names())
@settings(max_examples=100, deadline=None)
@given(sites=site_lists(), budget=BUDGETS, model=st.sampled_from(["resnet18", "grnn", "wav2vec2", "another"]))
def test_every_recipe_and_initial_point_keeps_the_rules(
    name: str, sites: list[SiteInfo], budget: Budget, model: str
) -> None:
    found = recipes(name, model, sites, budget)
    assert "control" in found
    for plan in (*found.values(), *(point.plan for point in initial_points(name, sites, budget).values())):
        check(plan, sites, budget)
        assert plan["space"] == name


@given(data=st.data(), budget=BUDGETS, sites=site_lists())
@settings(max_examples=50, deadline=None)
def test_what_has_no_effect_is_the_same_in_every_plan(
    data: st.DataObject, budget: Budget, sites: list[SiteInfo]
) -> None:
    plan = spaces.load("plasticity").space(Adversary(data), sites, budget)
    if not plan["grow"]:
        assert (plan["grow_epoch"], plan["rule"]) == (0, "random")
    if not plan["final"]:
        assert (plan["prune_epoch"], plan["prune_steps"]) == (budget.epochs, 1)
        assert (plan["criterion"], plan["after"]) == ("original", "finetune")
    if not plan["final"] or plan["after"] != "finetune":
        assert plan["recover_lr"] == plan["lr"]


def test_dropin_fits_a_single_epoch() -> None:
    site = SiteInfo("a", "inner", 8, 0)
    budget = budget_of(1)
    for plan in (
        *recipes("dropin", "grnn", [site], budget).values(),
        initial_points("dropin", [site], budget)["initial-large"].plan,
    ):
        check(plan, [site], budget)
