from __future__ import annotations

from typing import Any

import pytest

from answers import budget_of
from search.reporting.plan_words import count_text, plan_in_words
from spaces import recipes, shared

SITES = [shared.SiteInfo(f"layer{n}", "inner", 16, n) for n in (1, 2, 3)]
SITES.append(shared.SiteInfo("layer3.branch", "branch", 0, 3, 64))
BUDGET = budget_of(6)


def plan(space: str, name: str = "control", **changed: Any) -> dict[str, Any]:
    return {**recipes.recipes(space, "resnet18", SITES, BUDGET)[name], **changed}


@pytest.mark.parametrize(
    ("given", "clauses"),
    [
        (
            plan("plasticity", "paper"),
            [
                "retrain for 2 epochs",
                "add neurons with random weights: 64 to layer3.branch",
                "retrain for 2 epochs",
                "remove layer3.branch",
                "fine-tune the remaining weights for 2 epochs",
                "adam, learning rate 0.001, batches of 32",
            ],
        ),
        (
            plan("plasticity"),
            [
                "train all parameters for 6 epochs without growth and cuts",
                "adam, learning rate 0.001, batches of 32, optimiser restarted at epoch 3 and 5",
            ],
        ),
        (
            plan("plasticity", grow={"layer1": 4, "layer2": 8, "layer3": 4}, rule="split", grow_epoch=0, prune_epoch=6),
            [
                "add neurons split from existing ones: 4 to layer1 and layer3, 8 to layer2",
                "retrain for 6 epochs",
                "adam, learning rate 0.001, batches of 32, optimiser restarted at epoch 3 and 5",
            ],
        ),
        (
            plan(
                "plasticity",
                final=dict.fromkeys(("layer1", "layer2", "layer3"), 8),
                prune_epoch=1,
                prune_steps=3,
                grow_epoch=0,
                restarts=[],
                criterion="magnitude",
                after="rewind_weights",
                schedule="cosine",
                moments="carry",
                weight_decay=0.01,
                clip=1.0,
                optimizer="adamw",
            ),
            [
                "retrain for 1 epoch without growth",
                "cut each of layer1, layer2 and layer3 to 8 neurons (smallest weights first) in 3 steps, one per epoch",
                "rewind the remaining weights to their values at growth and retrain for 3 epochs",
                "adamw, learning rate 0.001, cosine annealing, weight decay 0.01, gradients clipped at 1, "
                "batches of 32, optimiser moments carried over",
            ],
        ),
        (
            plan("plasticity", prune_epoch=2, prune_steps=2, final={"layer1": 0, "layer2": 8, "layer3": 0}),
            [
                "retrain for 2 epochs without growth",
                "cut layer2 to 8 neurons (newest first) and remove layer1 and layer3 in 2 steps, one per epoch",
                "fine-tune the remaining weights for 3 epochs",
                "adam, learning rate 0.001, batches of 32, optimiser restarted at epoch 3 and 5",
            ],
        ),
        (
            plan("dropin", grow={"layer1": 4}, rule="gradmax", grow_steps=2, train="new+head"),
            [
                "add neurons that maximise the gradient norm: 4 to layer1 in 2 steps",
                "train new parameters and the classifier for 6 epochs",
                "adam, learning rate 0.001, batches of 32",
            ],
        ),
        (
            plan("dropin"),
            ["train all parameters for 6 epochs without growth", "adam, learning rate 0.001, batches of 32"],
        ),
    ],
)
def test_hand_worked(given: dict[str, Any], clauses: list[str]) -> None:
    assert plan_in_words(given) == clauses


@pytest.mark.parametrize("procedure", ["dropin", "plasticity"])
def test_what_a_plan_does_is_said_by_its_procedure(procedure: str) -> None:
    given = plan(procedure)
    assert plan_in_words({**given, "space": "another"}) == plan_in_words(given)
    del given["procedure"]
    assert plan_in_words(given) == plan_in_words(plan(procedure)), "a plan of an earlier version"


def test_learning_rates_come_in_the_order_of_the_stages() -> None:
    given = plan("plasticity", "paper", lr=1e-3, grow_lr=5e-4, recover_lr=1e-4)
    assert "learning rate 0.001, then 0.0005, then 0.0001" in plan_in_words(given)[-1]
    given["after"] = "rewind_lr"
    assert "learning rate 0.001, then 0.0005, batches" in plan_in_words(given)[-1]
    given["grow_epoch"] = 0
    assert "learning rate 0.0005, batches" in plan_in_words(given)[-1]


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (42_000, "42k"), (1_500_000, "1.5M"), (11_171_266, "11.2M"), (2e9, "2G")]
)
def test_counts_in_short(value: float, text: str) -> None:
    assert count_text(value) == text
