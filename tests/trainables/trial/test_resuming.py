"""Resuming: an execution loaded from a saved state continues exactly, at whatever epoch it was saved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detectors import architecture
from runs import GROWN, WindowedSplit, base_detector, execution, plan_config, run_all, state_of
from trainables.models.architecture import Architecture
from trainables.models.wav2vec2_checkpoint import TINY
from trainables.trial.execution import Execution

DROPOUT = {"hidden_dropout": 0.2, "activation_dropout": 0.1, "attention_dropout": 0.1}
ARCHITECTURES = {
    "resnet18": architecture("resnet18"),
    "grnn": architecture("grnn"),
    # With dropout, so that torch's own generator matters.
    "wav2vec2": Architecture.create("wav2vec2", {"checkpoint": "small", "transformers": {**TINY, **DROPOUT}}),
}
FREE = {model: {name: count for name, count in more.items() if "branch" not in name} for model, more in GROWN.items()}
CUT = {
    "resnet18": {"layer1.1": 3, "layer4.1": 20},
    "grnn": {"gru.0": 7, "gru.1": 3},
    "wav2vec2": {"encoder.0.heads": 3, "encoder.1.ff": 50},
}


def configs(model: str) -> dict[str, dict[str, Any]]:
    """Together they cover every kind of growth and cut, and every part of the saved state."""
    cuts = {"grow": FREE[model], "final": CUT[model], "prune_steps": 2}
    return {
        "rewound": plan_config(
            "plasticity", 6, **cuts, grow_epoch=2, prune_epoch=3, rule="split", criterion="taylor",
            after="rewind_weights", moments="carry", schedule="cosine",
        ),
        "carried": plan_config(
            "plasticity", 4, **cuts, grow_epoch=1, prune_epoch=2, rule="gradmax", criterion="random", moments="carry",
            optimizer="adamw", weight_decay=0.1, clip=1.0,
        ),
        "original": plan_config(
            "plasticity", 4, **cuts, grow_epoch=1, prune_epoch=2, criterion="original", restarts=[3],
        ),
        "dropin": plan_config(
            "dropin", 4, grow={name: 2 * n for name, n in FREE[model].items()}, grow_steps=2, train="new+head",
            moments="carry",
        ),
    }  # fmt: skip


def started(model: str, case: str) -> Execution:
    """An execution with random cropping."""
    base = base_detector(model, ARCHITECTURES[model])
    train, dev = WindowedSplit(model, 12, seed=1), WindowedSplit(model, 10, seed=2)
    return execution(configs(model)[case], model, seed=7, base=base, train=train, dev=dev, random_crop=True)


def ended(run: Execution) -> dict[str, Any]:
    """Final weights and results of an execution."""
    assert run.best is not None
    tensors = {f"best {key}": value for key, value in run.best.items()}
    tensors |= {f"live {key}": value for key, value in state_of(run).items()}
    return {"tensors": tensors, "best": (run.best_eer, run.best_threshold, run.best_epoch), "architecture": run.arch}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert all(found[key] == expected[key] for key in ("best", "architecture"))
    assert found["tensors"].keys() == expected["tensors"].keys()
    assert all(torch.equal(value, found["tensors"][key]) for key, value in expected["tensors"].items())


@pytest.mark.parametrize(
    ("model", "case"),
    [
        *[("grnn", case) for case in ("rewound", "carried", "original", "dropin")],
        *[(model, case) for model in ("resnet18", "wav2vec2") for case in ("rewound", "dropin")],
    ],
)
def test_resuming_is_exact_before_every_epoch(model: str, case: str, tmp_path: Path) -> None:
    run = started(model, case)
    undisturbed = run_all(run)
    end = ended(run)

    results = []
    for epoch in range(run.plan.epochs + 1):
        run = started(model, case)
        if epoch:
            torch.manual_seed(1000 + epoch)  # another process
            run.load(tmp_path / str(epoch - 1))
        assert run.epoch == max(0, epoch - 1)
        if epoch:
            result = run.run_epoch()
            results.append({key: value for key, value in result.items() if not key.startswith("seconds")})
        (tmp_path / str(epoch)).mkdir()
        run.save(tmp_path / str(epoch))
    assert results == undisturbed
    assert_same(ended(run), end)


def test_saving_has_no_side_effect_and_a_used_execution_can_load_an_earlier_state(tmp_path: Path) -> None:
    untouched = started("grnn", "rewound")
    undisturbed, end = run_all(untouched), ended(untouched)
    run = started("grnn", "rewound")
    for epoch in range(4):
        (tmp_path / str(epoch)).mkdir()
        run.save(tmp_path / str(epoch))
        run.run_epoch()
    assert run_all(run) == undisturbed[4:]
    assert_same(ended(run), end)
    for epoch in (3, 0):
        run.load(tmp_path / str(epoch))
        assert run_all(run) == undisturbed[epoch:]
        assert_same(ended(run), end)


def test_checkpoints_of_other_trials_are_refused(tmp_path: Path) -> None:
    saved = started("grnn", "carried")
    saved.run_epoch()
    saved.save(tmp_path)
    with pytest.raises(ValueError, match="of another plan or seed"):
        started("grnn", "original").load(tmp_path)
    other = execution(configs("grnn")["carried"], "grnn", seed=8)
    with pytest.raises(ValueError, match="of another plan or seed"):
        other.load(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json"] * 2 + [".safetensors"] * 6


@pytest.mark.parametrize("name", ["model", "moments", "best", "snapshot", "rng_state", "state"])
def test_damage_is_found_in_every_file(name: str, tmp_path: Path) -> None:
    run = started("grnn", "rewound")
    run.run_epoch()
    saved = tmp_path / "saved"
    saved.mkdir()
    run.save(saved)
    (path,) = saved.glob(f"{name}.*")
    content = path.read_bytes()
    for damage in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), None):
        folder = tmp_path / "damaged"
        shutil.copytree(saved, folder)
        if damage is None:
            (folder / path.name).unlink()
        else:
            (folder / path.name).write_bytes(damage)
        with pytest.raises(ValueError, match=path.name.replace(".", r"\.")):
            started("grnn", "rewound").load(folder)
        shutil.rmtree(folder)


def test_the_order_of_utterances_is_part_of_the_state(tmp_path: Path) -> None:
    run = started("grnn", "carried")
    run.run_epoch()
    run.save(tmp_path)
    expected = run.order.permutation(100)
    resumed = started("grnn", "carried")
    resumed.load(tmp_path)
    np.testing.assert_array_equal(resumed.order.permutation(100), expected)
