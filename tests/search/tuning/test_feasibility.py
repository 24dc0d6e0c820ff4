"""Which plans are rejected before they are carried out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from answers import budget_of
from search.runs.record import Record
from search.tuning.feasibility import Feasibility, check_feasibility
from spaces import shared
from trainables.models.architecture import Architecture


def test_plans_are_rejected_by_rule_and_by_size() -> None:
    arch = Architecture.create("resnet18", {"width": 4})
    plan = {
        **{"space": "plasticity", "epochs": 3, "grow": {}, "rule": "random", "grow_epoch": 1, "grow_steps": 1},
        **{"train": "all", "prune_epoch": 3, "prune_steps": 1, "final": {}, "criterion": "original"},
        **{"after": "finetune", "moments": "reset", "optimizer": "adam", "lr": 0.001, "recover_lr": 0.001},
        **{"schedule": "constant", "weight_decay": 0.0, "clip": 0.0, "batch_size": 8},
    }
    size = arch.size()
    assert check_feasibility(plan, arch=arch) == Feasibility()
    assert check_feasibility(plan, arch=arch, max_parameters=size) == Feasibility(None, 0)
    over = check_feasibility(plan, arch=arch, max_parameters=size - 1)
    assert over.violation == 1
    assert f"--max-parameters allows {size - 1:,}" in (over.reason or "")
    assert "grow_epoch" in (check_feasibility({**plan, "grow_epoch": 7}, arch=arch).reason or "")


@pytest.mark.parametrize(("eer", "more", "hopeless"), [(0.0, 0, True), (0.0, 1, False), (0.01, 0, False)])
def test_a_plan_that_can_be_better_in_neither_is_rejected(eer: float, more: int, hopeless: bool) -> None:
    """Its size is known before it runs; a trial without errors that is no larger cannot be beaten."""
    arch = Architecture.create("resnet18", {"width": 4})
    plan = shared.unchanged("plasticity", budget_of(3, batch_size=8))
    ended = {7: Record(7, "COMPLETE", None, plan, eer=eer, size=arch.size() + more)}
    found = check_feasibility(plan, arch=arch, ended=ended)
    assert (found.reason is not None) == hopeless
    assert not hopeless or "trial 7 has no error" in str(found.reason)
    stopped = {7: replace(ended[7], state="PRUNED")}
    assert check_feasibility(plan, arch=arch, ended=stopped).reason is None
