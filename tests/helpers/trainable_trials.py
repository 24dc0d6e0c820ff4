"""A trial of each space on a small detector: its plan, its configuration, and all that it reports."""

from __future__ import annotations

from typing import Any

from runs import plan_config
from trainables import load
from trainables.base import DetectorTrainable

PROMISED = (
    *("eer", "loss", "size", "trainable_parameters", "seconds_step", "seconds_forward", "seconds_backward"),
    *("weighted_eer", "epoch", "epochs", "stage", "best_eer", "best_weighted_eer", "total_widths", "done"),
)
DROPIN = plan_config("dropin", 3, grow={"gru.0": 4, "gru.2": 2}, grow_steps=2, train="new+head", moments="carry")
PLASTICITY = plan_config(
    "plasticity", 4, grow={"gru.0": 3, "gru.1": 2}, grow_epoch=1, prune_epoch=2, prune_steps=2,
    final={"gru.0": 5, "gru.1": 5}, criterion="taylor", after="rewind_weights", moments="carry",
)  # fmt: skip
PLANS = {"dropin": DROPIN, "plasticity": PLASTICITY}


def config(job: dict[str, Any], space: str, number: int = 0) -> dict[str, Any]:
    return {
        "job": job,
        "plan": PLANS[space],
        "number": number,
        "name": f"{space}-{number}",
        "recipe": None,
        "exempt": False,
    }


def start(job: dict[str, Any], space: str, number: int = 0) -> DetectorTrainable:
    trainable: DetectorTrainable = load(space)(config=config(job, space, number))
    return trainable


def finish(trainable: DetectorTrainable) -> list[dict[str, Any]]:
    """What it reports until it is done, without what differs from one clock to the next."""
    results: list[dict[str, Any]] = []
    while not (results and results[-1]["done"]):
        result = trainable.train()
        assert set(PROMISED) <= set(result)
        results.append({key: result[key] for key in (*PROMISED, "threshold", "best_epoch") if "seconds" not in key})
    return results
