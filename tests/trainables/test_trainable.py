"""Trials as Ray runs them: directly in this process, and through Tune on reused actors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from detectors import architecture
from runs import write_store
from trainable_trials import PLANS, PLASTICITY, PROMISED, config, finish, start
from trainables import base, load
from trainables.base import DetectorTrainable
from trainables.features.store import open_split
from trainables.jobs.pretraining import pretrain
from trainables.metrics.eer import between, eer_of
from trainables.storage.checkpoint import load_detector
from trainables.trial.plan import Plan
from trainables.trial.training import scores


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A base of one epoch, its features and a run folder."""
    folder = tmp_path_factory.mktemp("run")
    store = write_store(folder / "features", train=12, dev=14)
    card = {"front_end": "lfcc", "corpus": {"name": "random"}}
    settings: dict[str, Any] = {"epochs": 1, "seed": 0, "random_crop": False, "card": card, "gpu": False}
    list(pretrain(architecture("grnn"), features=store, folder=folder / "base", **settings))
    return {
        "base": str(folder / "base"), "features": str(store), "run_folder": str(folder), "size_weight": 0.5,
        "size_base": 841, "seed": 5, "threads": 1, "random_crop": False, "precision": "float32",
        "prunings_per_growth": 1, "growth_cache_limit": 0, "storage": None,
        "gpu": False, "activations": str(folder / "activations"), "activations_limit": 10**9,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def no_results_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainable without Tune makes itself a folder in the user's ``ray_results``."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray_results"))


@pytest.fixture
def here(job: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The job with a run folder of the test's own."""
    return {**job, "run_folder": str(tmp_path)}


@pytest.mark.parametrize(
    ("space", "bests"),
    [("dropin", [0.5, 0.2, 0.2]), ("plasticity", [0.5, 0.2, 0.3, 0.4])],
    ids=["dropin", "plasticity"],
)
def test_what_a_trial_reports(
    space: str, bests: tuple[float, ...], here: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The structure changes for the last time before epoch 2 (dropin) or 4 (plasticity)."""
    eers = [0.5, 0.2, 0.3, 0.4]
    remaining = iter(eers)
    monkeypatch.setattr("trainables.trial.execution.eer_of", lambda *_: (next(remaining), 0.0))
    plan = Plan.from_config(PLANS[space], architecture("grnn"))
    trainable = start(here, space)
    for epoch, (eer, best) in enumerate(zip(eers, bests, strict=False), 1):
        result = trainable.train()
        assert set(PROMISED) <= set(result)
        assert (result["epoch"], result["epochs"], result["done"]) == (epoch, plan.epochs, epoch == plan.epochs)
        assert (result["size"], result["total_widths"]) == (plan.final.size(), plan.final.total_widths())
        assert (result["eer"], result["best_eer"]) == (eer, best)
        weight = (plan.final.size() / 841) ** 0.5
        half_error = 1 / 14  # 7 utterances of each class
        assert result["weighted_eer"] == pytest.approx((eer + half_error) * weight)
        assert result["best_weighted_eer"] == pytest.approx((best + half_error) * weight)
        numbers = [result[key] for key in PROMISED if isinstance(result[key], (int, float))]
        assert all(math.isfinite(number) for number in numbers)
        json.dumps({key: result[key] for key in PROMISED})
    assert result["stage"] == {"dropin": "grow", "plasticity": "recover"}[space]


@pytest.mark.parametrize("space", ["dropin", "plasticity"])
def test_the_detector_is_written_at_the_end(space: str, here: dict[str, Any]) -> None:
    folder = Path(here["run_folder"]) / "detectors" / "12"
    trainable = start(here, space, number=12)
    result = trainable.train()
    assert not folder.exists()
    result = finish(trainable)[-1]
    found = load_detector(folder)
    live = sum(parameter.numel() for parameter in found.module.parameters())
    assert live == result["size"] == found.arch.size() == found.card["size"]
    assert found.arch.total_widths() == result["total_widths"] == found.card["total_widths"]
    dev = open_split(Path(here["features"]), "dev")
    assert eer_of(scores(found.module, dev), dev.labels)[0] == result["best_eer"] == found.card["eer_dev"]
    expected = {
        "front_end": "lfcc", "corpus": {"name": "random"}, "plan": PLANS[space], "number": 12, "seed": 5,
        "epoch": result["best_epoch"], "epochs": result["epochs"], "n_bonafide": 7, "n_spoof": 7,
    }  # fmt: skip
    assert {key: found.card[key] for key in expected} == expected
    assert found.card["threshold"] == trainable.execution.best_threshold


def test_the_threshold_of_the_card_is_the_detectors(here: dict[str, Any]) -> None:
    """Plasticity leaves plain layers, so that not even rounding differs."""
    finish(start(here, "plasticity"))
    found = load_detector(Path(here["run_folder"]) / "detectors" / "0")
    dev = open_split(Path(here["features"]), "dev")
    again = scores(found.module, dev)
    eer, threshold = eer_of(again, dev.labels)
    assert (found.card["eer_dev"], found.card["threshold"]) == (eer, between(again, threshold))


def test_a_checkpoint_is_requested_when_the_last_is_old(
    here: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("trainables.base.time", SimpleNamespace(monotonic=lambda: clock[0]))
    trainable = start(here, "plasticity")
    requested = []
    for now in (31.0, 40.0, 62.0, 99.0):
        clock[0] = now
        requested.append(trainable.train()["should_checkpoint"])
        if requested[-1]:
            trainable.save(str(tmp_path / f"{now}"))
    assert requested == [True, False, True, False], "nothing is left to save after the last epoch"


@pytest.mark.parametrize("space", ["dropin", "plasticity"])
def test_it_resumes_from_a_checkpoint(space: str, here: dict[str, Any], tmp_path: Path) -> None:
    trainable = start(here, space)
    undisturbed = finish(trainable)
    written = (tmp_path / "detectors" / "0" / "model.safetensors").read_bytes()
    trainable = start(here, space, number=1)
    for epoch in range(1, len(undisturbed)):
        trainable.train()
        saved = trainable.save(str(tmp_path / str(epoch)))
        trainable = start(here, space, number=1)
        trainable.restore(saved)
        assert trainable.iteration == epoch
    assert finish(trainable) == undisturbed[-1:]
    assert (tmp_path / "detectors" / "1" / "model.safetensors").read_bytes() == written


@pytest.mark.parametrize("space", ["dropin", "plasticity"])
def test_a_reused_actor_does_what_a_fresh_one_does(space: str, here: dict[str, Any], tmp_path: Path) -> None:
    fresh = finish(start(here, space, number=0))
    other = {**config({**here, "seed": 6}, space, number=1), "plan": {**PLANS[space], "lr": 0.02}}
    trainable: DetectorTrainable = load(space)(config=other)
    trainable.train()
    trainable.train()
    assert trainable.reset(config(here, space, number=2))
    assert finish(trainable) == fresh
    first, reused = (tmp_path / "detectors" / number / "model.safetensors" for number in ("0", "2"))
    assert first.read_bytes() == reused.read_bytes()
    # Fresh, used up, and once more: nothing of a trial stays behind in what trials share.
    assert trainable.reset(config(here, space, number=2))
    assert finish(trainable) == fresh
    shared, again = base._base(here["base"]).module.state_dict(), load_detector(Path(here["base"])).module.state_dict()
    assert all(torch.equal(shared[key], again[key]) for key in again)


def test_an_actor_is_named_after_its_trials(here: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The dashboard's list of actors shows the first name; the actor's log has all."""
    trainable = load("dropin")(config={**config(here, "dropin"), "name": "dropin-0-paper"})
    assert repr(trainable) == "dropin-0-paper and later ones"
    assert trainable.reset({**config(here, "dropin", number=7), "name": "dropin-7-zero-1.1x"})
    assert repr(trainable) == "dropin-7-zero-1.1x"
    assert trainable.reset(config(here, "dropin", number=8))
    assert repr(trainable) == "dropin-8"
    assert capsys.readouterr().out.splitlines() == [
        *("trial dropin-0-paper started", "trial dropin-7-zero-1.1x started", "trial dropin-8 started")
    ]


@pytest.mark.parametrize("prunings", [1, 2])
def test_a_trial_reports_whether_it_started_from_the_growth_cache(prunings: int, here: dict[str, Any]) -> None:
    job = {**here, "prunings_per_growth": prunings, "growth_cache_limit": 10**9}
    found = []
    for number in (0, 1):
        trainable = load("plasticity")(config={**config(job, "plasticity", number), "exempt": True})
        found.append(trainable.train()["from_growth_cache"])
        while not trainable.train()["done"]:
            continue
    assert found == [False, prunings > 1]


@pytest.mark.parametrize(("space", "other"), [("dropin", "plasticity"), ("plasticity", "dropin")])
def test_a_plan_of_the_other_procedure_is_refused(space: str, other: str, here: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"carries out plans of procedure {space}; got one of {other}"):
        load(space)(config=config(here, other))
    trainable = start(here, space)
    with pytest.raises(ValueError, match=f"plans of procedure {space}"):
        trainable.reset(config(here, other))


def test_a_bad_plan_or_base_is_refused(here: dict[str, Any], tmp_path: Path) -> None:
    bad = {**config(here, "plasticity"), "plan": {**PLASTICITY, "final": {"gru.0": 99}}}
    with pytest.raises(ValueError, match="cannot be cut to 99"):
        load("plasticity")(config=bad)
    with pytest.raises(ValueError, match="nowhere"):
        load("plasticity")(config=config({**here, "base": str(tmp_path / "nowhere")}, "plasticity"))
    with pytest.raises(ValueError, match="must be built before"):
        load("plasticity")(config=config({**here, "features": str(tmp_path / "nowhere")}, "plasticity"))


def test_divergence_fails_the_trial_and_leaves_no_detector(here: dict[str, Any], tmp_path: Path) -> None:
    trainable = start(here, "plasticity")
    trainable.train()
    with torch.no_grad():
        next(trainable.execution.module.parameters()).fill_(math.nan)
    result = trainable.train()
    assert result["done"]
    assert result["epoch"] == 1
    assert "not finite" in result["failed"]
    assert all(math.isnan(result[name]) for name in ("eer", "best_eer", "weighted_eer", "best_weighted_eer"))
    assert not (tmp_path / "detectors").exists()
    # The actor lives on.
    assert trainable.reset(config(here, "plasticity"))
    assert finish(trainable)[-1]["done"]


def test_procedures_by_name() -> None:
    assert [load(name).procedure for name in ("dropin", "plasticity")] == ["dropin", "plasticity"]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="procedure must be one of dropin, plasticity; got 'both'"):
        load("both")


@pytest.mark.usefixtures("workers")
def test_two_trials_on_one_actor_of_a_real_worker(here: dict[str, Any], tmp_path: Path) -> None:
    """They report and write what they do in this process, and their checkpoints go on here."""
    from ray import tune

    tuner = tune.Tuner(
        load("plasticity"),
        param_space={**config(here, "plasticity"), "number": tune.grid_search([0, 1])},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(
            name="real",
            storage_path=str(tmp_path / "tune"),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            verbose=0,
        ),
    )
    grid = tuner.fit()
    results = [grid[number] for number in range(len(grid))]
    assert len(results) == 2
    expected = finish(start({**here, "run_folder": str(tmp_path / "here")}, "plasticity"))
    weights = (tmp_path / "here" / "detectors" / "0" / "model.safetensors").read_bytes()
    for result in results:
        assert result.error is None
        assert result.metrics is not None
        number = result.config["number"] if result.config else None
        assert {key: result.metrics[key] for key in expected[-1]} == expected[-1]
        assert (tmp_path / "detectors" / str(number) / "model.safetensors").read_bytes() == weights
        assert result.best_checkpoints is not None
        assert len(result.best_checkpoints) == len(expected)
    assert len({result.metrics["pid"] for result in results if result.metrics}) == 1, "the actor is reused"

    checkpoints = results[0].best_checkpoints
    assert checkpoints is not None
    second, _ = checkpoints[1]
    trainable = start({**here, "run_folder": str(tmp_path / "resumed")}, "plasticity")
    trainable.restore(second)
    assert finish(trainable) == expected[2:]
