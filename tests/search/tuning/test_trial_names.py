from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import budget_of
from search.tuning.trial_names import MAX_LENGTH, multiple, trial_name
from spaces import shared
from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan

ARCH = Architecture.create("resnet18", {"width": 4})
BUDGET = budget_of(6, batch_size=4)


def plan(**changes: Any) -> dict[str, Any]:
    return {**shared.unchanged("plasticity", BUDGET), **changes}


def cut(share: int) -> dict[str, Any]:
    """Every site cut to a share of its width."""
    widths = {name: max(1, width // share) for name, width in ARCH.total_widths().items() if width}
    return plan(final=widths, prune_epoch=3)


@pytest.mark.parametrize(
    ("recipe", "given_plan", "name"),
    [
        ("paper", plan(grow={"layer1.0": 4}), "plasticity-12-paper"),
        ("initial-half", plan(), "plasticity-12-initial-half"),
        ("trial 3, again", plan(), "plasticity-12-trial-3-again"),
        (None, plan(), "plasticity-12-retrain-1x"),
    ],
)
def test_a_name_says_space_number_and_recipe_or_plan(recipe: str | None, given_plan: dict[str, Any], name: str) -> None:
    assert trial_name(12, recipe, given_plan, arch=ARCH) == name


def test_what_a_sampler_chose_is_called_by_its_growth_rule_and_final_size() -> None:
    grown = {**cut(2), "grow": {"layer1.0": 4}, "rule": "split"}
    share = Plan.from_config(grown, ARCH).final.size() / ARCH.size()
    assert share < 1
    assert trial_name(3, None, grown, arch=ARCH) == f"plasticity-3-split-{share:.2g}x"
    assert trial_name(3, None, cut(2), arch=ARCH) == f"plasticity-3-cut-{share:.2g}x"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.1449, "0.14x"), (1.0, "1x"), (1.25, "1.2x"), (99.4, "99x"), (99.6, "100x"), (1234.5, "1234x")],
)
def test_multiples_have_two_digits(share: float, text: str) -> None:
    assert multiple(share) == text


@given(st.integers(0, 10**7), st.one_of(st.none(), st.text(min_size=1)), st.sampled_from([1, 2, 4]))
def test_names_are_short_and_plain(number: int, recipe: str | None, share: int) -> None:
    name = trial_name(number, recipe, cut(share), arch=ARCH)
    assert re.fullmatch(r"[A-Za-z0-9.-]+", name)
    assert len(name) <= MAX_LENGTH
    assert name.startswith(f"plasticity-{number}")


def test_a_plan_that_breaks_a_rule_has_no_name() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        trial_name(0, None, plan(final={"nowhere": 1}, prune_epoch=3), arch=ARCH)
