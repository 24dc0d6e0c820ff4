"""Stages that are kept, and what goes on from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detectors import RandomSplit
from runs import CPU, FINAL, GROWN, base_detector, plan_config, run_all
from trainables import criteria, models
from trainables.metrics.eer import eer_of
from trainables.trial.execution import Execution
from trainables.trial.growth_cache import GrowthCache
from trainables.trial.plan import Plan

MODELS = pytest.mark.parametrize("model", models.NAMES)


def config(model: str, **changes: Any) -> dict[str, Any]:
    """Growth, two epochs of training, a cut and two epochs of recovery."""
    grown = {"grow": GROWN[model], "prune_epoch": 2, "final": FINAL[model], "criterion": "magnitude"}
    return plan_config("plasticity", 4, **{**grown, **changes})


def carried_out(model: str, wanted: dict[str, Any], kept: GrowthCache | None, **options: Any) -> Execution:
    base = base_detector(model)
    splits: Any = RandomSplit(model, 12, seed=1), RandomSplit(model, 10, seed=2)
    return Execution(
        Plan.from_config(wanted, base.arch), base, *splits, seed=3, device=CPU, growth_cache=kept, **options
    )


@MODELS
@pytest.mark.parametrize("after", ["finetune", "rewind_weights"])
def test_a_plan_that_goes_on_from_a_kept_stage_ends_as_from_the_base(model: str, after: str, tmp_path: Path) -> None:
    """Another criterion, other widths, rewinding or not: to the last bit, and without an epoch before the cut."""
    kept = GrowthCache(tmp_path / "stages", 10**9)
    run_all(carried_out(model, config(model), kept))
    site, width = next(iter(FINAL[model].items()))
    other = config(model, criterion="taylor", final={**FINAL[model], site: width - 1}, after=after)
    alone, shared = carried_out(model, other, None), carried_out(model, other, kept)
    assert (alone.epoch, shared.epoch) == (0, 2)
    assert (alone.from_growth_cache, shared.from_growth_cache) == (False, True)
    assert run_all(alone)[2:] == run_all(shared)
    assert alone.best is not None
    assert shared.best is not None
    assert alone.best.keys() == shared.best.keys()
    assert all(torch.equal(alone.best[key], shared.best[key]) for key in alone.best)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"criterion": "original"}, True),
        ({"final": {"gru.0": 1}}, True),
        ({"prune_steps": 2}, True),
        ({"recover_lr": 0.5}, True),
        ({"after": "rewind_lr", "moments": "carry"}, True),
        ({"prune_epoch": 3}, False),
        ({"grow": {"gru.0": 1}}, False),
        ({"rule": "zero"}, False),
        ({"grow_lr": 0.003}, False),
        ({"batch_size": 5}, False),
        ({"restarts": [1]}, False),
        ({"grow_epoch": 1}, False),
    ],
)
def test_a_stage_is_addressed_by_what_comes_before_the_first_cut(
    changes: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    base = base_detector("grnn")
    kept = GrowthCache(tmp_path, 10**9)
    carried_out("grnn", config("grnn", grow_epoch=0, moments="carry"), kept)
    run = carried_out("grnn", config("grnn", moments="carry"), kept)
    run_all(run)
    plan = Plan.from_config(config("grnn", **{"moments": "carry", **changes}), base.arch)
    assert (kept.find(plan) is not None) == same


def test_with_cosine_the_rates_before_the_cut_must_be_the_same(tmp_path: Path) -> None:
    """They fall until the last cut, so that two cuts bring another rate for the epochs before the first."""
    kept, base = GrowthCache(tmp_path, 10**9), base_detector("grnn")
    run_all(carried_out("grnn", config("grnn", schedule="cosine"), kept))
    found = [
        kept.find(Plan.from_config(config("grnn", schedule="cosine", prune_steps=steps), base.arch)) for steps in (1, 2)
    ]
    assert found[0] is not None
    assert found[1] is None


def test_plans_that_never_cut_or_cut_at_once_keep_nothing(tmp_path: Path) -> None:
    kept = GrowthCache(tmp_path / "stages", 10**9)
    run_all(carried_out("grnn", plan_config("plasticity", 2, grow={"gru.0": 2}), kept))
    run_all(carried_out("grnn", plan_config("dropin", 2, grow={"gru.0": 2}), kept))
    assert not (tmp_path / "stages").exists()


@pytest.mark.parametrize("limit", [0, 1])
def test_the_limit_holds_for_all_stages_but_the_newest(limit: int, tmp_path: Path) -> None:
    kept = GrowthCache(tmp_path / "stages", limit)
    for rule in ("random", "zero"):
        run_all(carried_out("grnn", config("grnn", rule=rule), kept))
    found = [
        kept.find(Plan.from_config(config("grnn", rule=r), base_detector("grnn").arch)) for r in ("random", "zero")
    ]
    assert [one is not None for one in found] == [False, bool(limit)]


def test_a_damaged_stage_is_removed_and_the_plan_begins_at_the_base(tmp_path: Path) -> None:
    kept = GrowthCache(tmp_path / "stages", 10**9)
    first = carried_out("grnn", config("grnn"), kept)
    expected = run_all(first)
    place = kept.find(first.plan)
    assert place is not None
    (place / "model.safetensors").write_bytes(b"cut off")
    again = carried_out("grnn", config("grnn"), kept)
    assert again.epoch == 0
    assert not again.from_growth_cache
    assert kept.find(first.plan) is None
    assert run_all(again) == expected
    assert kept.find(first.plan) is not None


@pytest.mark.parametrize("first_found", [False, True])
def test_a_trial_that_is_tried_again_says_where_it_began_at_first(first_found: bool, tmp_path: Path) -> None:
    """When it is tried again, the stage is there in any case: the first try has kept it."""
    kept = GrowthCache(tmp_path / "stages", 10**9)
    if first_found:
        run_all(carried_out("grnn", config("grnn"), kept))
    first = carried_out("grnn", config("grnn"), kept)
    while first.epoch < 3:
        first.run_epoch()
    (tmp_path / "checkpoint").mkdir()
    first.save(tmp_path / "checkpoint")
    again = carried_out("grnn", config("grnn"), kept)
    assert again.from_growth_cache
    again.load(tmp_path / "checkpoint")
    assert again.from_growth_cache == first_found


@MODELS
def test_the_criterion_that_costs_least_is_chosen(model: str) -> None:
    """By brute force: every criterion's own plan up to the cut, scored before it trains again."""
    run = carried_out(model, config(model), None, choose_criterion=True)
    for _ in range(2):
        run.run_epoch()
    worth = {}
    for criterion in criteria.searched():
        alone = carried_out(model, config(model, criterion=criterion), None)
        if alone.plan.final != run.plan.final:
            continue
        for _ in range(2):
            alone.run_epoch()
        alone._enter(alone.plan.stages[1], 1)
        values = alone._scores(alone.module)
        losses = np.logaddexp(0, np.where(alone.dev.labels == 1, -values, values))
        worth[criterion] = (eer_of(values, alone.dev.labels)[0], float(losses.mean()))
    run.run_epoch()
    assert len(worth) > 1
    assert worth[run.plan.config["criterion"]] == pytest.approx(min(worth.values()), rel=1e-5)


def test_a_checkpoint_remembers_the_chosen_criterion(tmp_path: Path) -> None:
    first = carried_out("resnet18", config("resnet18"), None, choose_criterion=True)
    for _ in range(3):
        first.run_epoch()
    first.save(tmp_path)
    second = carried_out("resnet18", config("resnet18"), None, choose_criterion=True)
    second.load(tmp_path)
    assert second.plan.config == first.plan.config
    assert run_all(second) == run_all(first)
    with pytest.raises(ValueError, match="another plan"):
        carried_out("resnet18", config("resnet18", lr=0.5), None, choose_criterion=True).load(tmp_path)
