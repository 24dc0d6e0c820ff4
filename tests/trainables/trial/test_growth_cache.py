"""Post-growth checkpoints: what they are keyed by, and plans that start from them."""

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


def execution(model: str, wanted: dict[str, Any], cache: GrowthCache | None, **options: Any) -> Execution:
    base = base_detector(model)
    splits: Any = RandomSplit(model, 12, seed=1), RandomSplit(model, 10, seed=2)
    return Execution(
        Plan.from_config(wanted, base.arch), base, *splits, seed=3, device=CPU, growth_cache=cache, **options
    )


@MODELS
@pytest.mark.parametrize("after", ["finetune", "rewind_weights"])
def test_a_plan_from_the_growth_cache_ends_as_from_the_base(model: str, after: str, tmp_path: Path) -> None:
    """Another criterion, other widths, rewinding or not: to the last bit, and without an epoch before the cut."""
    cache = GrowthCache(tmp_path / "stages", 10**9)
    run_all(execution(model, config(model), cache))
    site, width = next(iter(FINAL[model].items()))
    other = config(model, criterion="taylor", final={**FINAL[model], site: width - 1}, after=after)
    alone, shared = execution(model, other, None), execution(model, other, cache)
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
def test_a_checkpoint_is_keyed_by_the_plan_before_the_first_cut(
    changes: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    base = base_detector("grnn")
    cache = GrowthCache(tmp_path, 10**9)
    execution("grnn", config("grnn", grow_epoch=0, moments="carry"), cache)
    run = execution("grnn", config("grnn", moments="carry"), cache)
    run_all(run)
    plan = Plan.from_config(config("grnn", **{"moments": "carry", **changes}), base.arch)
    assert (cache.find(plan) is not None) == same


def test_with_cosine_the_rates_before_the_cut_must_be_the_same(tmp_path: Path) -> None:
    """Annealing lasts until the last cut, so that two cuts change the rates of the epochs before the first."""
    cache, base = GrowthCache(tmp_path, 10**9), base_detector("grnn")
    run_all(execution("grnn", config("grnn", schedule="cosine"), cache))
    found = [
        cache.find(Plan.from_config(config("grnn", schedule="cosine", prune_steps=steps), base.arch))
        for steps in (1, 2)
    ]
    assert found[0] is not None
    assert found[1] is None


def test_plans_that_never_cut_are_not_cached(tmp_path: Path) -> None:
    cache = GrowthCache(tmp_path / "stages", 10**9)
    run_all(execution("grnn", plan_config("plasticity", 2, grow={"gru.0": 2}), cache))
    run_all(execution("grnn", plan_config("dropin", 2, grow={"gru.0": 2}), cache))
    assert not (tmp_path / "stages").exists()


@pytest.mark.parametrize("limit", [0, 1])
def test_the_limit_holds_for_all_checkpoints_but_the_newest(limit: int, tmp_path: Path) -> None:
    cache = GrowthCache(tmp_path / "stages", limit)
    for rule in ("random", "zero"):
        run_all(execution("grnn", config("grnn", rule=rule), cache))
    found = [
        cache.find(Plan.from_config(config("grnn", rule=r), base_detector("grnn").arch)) for r in ("random", "zero")
    ]
    assert [one is not None for one in found] == [False, bool(limit)]


def test_a_damaged_checkpoint_is_deleted_and_the_plan_starts_at_the_base(tmp_path: Path) -> None:
    cache = GrowthCache(tmp_path / "stages", 10**9)
    first = execution("grnn", config("grnn"), cache)
    expected = run_all(first)
    folder = cache.find(first.plan)
    assert folder is not None
    (folder / "model.safetensors").write_bytes(b"truncated")
    again = execution("grnn", config("grnn"), cache)
    assert again.epoch == 0
    assert not again.from_growth_cache
    assert cache.find(first.plan) is None
    assert run_all(again) == expected
    assert cache.find(first.plan) is not None


@pytest.mark.parametrize("first_found", [False, True])
def test_a_restarted_trial_reports_where_it_started_at_first(first_found: bool, tmp_path: Path) -> None:
    """At the restart the checkpoint is cached in any case: by the first attempt."""
    cache = GrowthCache(tmp_path / "stages", 10**9)
    if first_found:
        run_all(execution("grnn", config("grnn"), cache))
    first = execution("grnn", config("grnn"), cache)
    while first.epoch < 3:
        first.run_epoch()
    (tmp_path / "checkpoint").mkdir()
    first.save(tmp_path / "checkpoint")
    again = execution("grnn", config("grnn"), cache)
    assert again.from_growth_cache
    again.load(tmp_path / "checkpoint")
    assert again.from_growth_cache == first_found


@MODELS
def test_the_criterion_with_the_lowest_eer_is_chosen(model: str) -> None:
    """By brute force: the plan of each criterion up to the cut, scored before recovery."""
    run = execution(model, config(model), None, choose_criterion=True)
    for _ in range(2):
        run.run_epoch()
    ranks = {}
    for criterion in criteria.searched():
        alone = execution(model, config(model, criterion=criterion), None)
        if alone.plan.final != run.plan.final:
            continue
        for _ in range(2):
            alone.run_epoch()
        alone._start_stage(alone.plan.stages[1], 1)
        values = alone._scores(alone.module)
        losses = np.logaddexp(0, np.where(alone.dev.labels == 1, -values, values))
        ranks[criterion] = (eer_of(values, alone.dev.labels)[0], float(losses.mean()))
    run.run_epoch()
    assert len(ranks) > 1
    assert ranks[run.plan.config["criterion"]] == pytest.approx(min(ranks.values()), rel=1e-5)


def test_a_checkpoint_remembers_the_chosen_criterion(tmp_path: Path) -> None:
    first = execution("resnet18", config("resnet18"), None, choose_criterion=True)
    for _ in range(3):
        first.run_epoch()
    first.save(tmp_path)
    second = execution("resnet18", config("resnet18"), None, choose_criterion=True)
    second.load(tmp_path)
    assert second.plan.config == first.plan.config
    assert run_all(second) == run_all(first)
    with pytest.raises(ValueError, match="another plan"):
        execution("resnet18", config("resnet18", lr=0.5), None, choose_criterion=True).load(tmp_path)
