"""Simulated searches: virtual time is what it says, the real driver runs on it, plans decide what trials come to."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from rich.console import Console

import project_file
import spaces
from answers import budget_of
from search.cluster.ray_cluster import Cluster
from search.display.progress import Display
from search.running import trials
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.tuning.space_check import site_infos
from trainables import models
from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan

WIDTH, EPOCHS = 4, 4
ARCH = Architecture.create("resnet18", {"width": WIDTH})
NO_TOLL = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The simulation, and the recorded trials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project_file.ROOT / "benchmarks"))
        yield importlib.import_module("simulation"), importlib.import_module("recorded_trials")


@pytest.fixture
def processor(modules: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The processor time that the simulation sees, in place of the real one."""
    seen = SimpleNamespace(seconds=0.0)
    clocks = SimpleNamespace(thread_time=lambda: seen.seconds, perf_counter=lambda: seen.seconds)
    monkeypatch.setattr(modules[0], "time", clocks)
    return seen


@pytest.fixture
def simulation(modules: tuple[ModuleType, ModuleType]) -> ModuleType:
    return modules[0]


@pytest.fixture
def recorded(modules: tuple[ModuleType, ModuleType]) -> ModuleType:
    return modules[1]


def plans(count: int) -> list[dict[str, Any]]:
    sites = site_infos(ARCH)
    budget = budget_of(EPOCHS, models.load("resnet18").RECIPE["lr"])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [spaces.load("plasticity").space(study.ask(), sites, budget) for _ in range(count)]


def write_recording(path: Path, eer: float | None = None, count: int = 40) -> Path:
    """Trials of one second an epoch whose log odds of error are linear in the logarithm of their learning rate."""
    kept = []
    for plan in plans(count):
        size = Plan.from_config(plan, ARCH).final.size()
        best = 1 / (1 + np.exp(2 - 0.5 * np.log(plan["lr"]) / np.log(10))) if eer is None else eer
        curve = [best + 0.3, best + 0.1, best + 0.2, best]
        kept.append({"plan": plan, "size": size, "best_eer": best, "eer": curve, "seconds": [1.0] * EPOCHS})
    about = {"space": "plasticity", "model": "resnet18", "model_option": {"width": WIDTH}, "epochs": EPOCHS}
    counts = {"train": 10, "dev": {"bona_fide": 10_000, "spoof": 10_000}, "base_eer": 0.5}
    path.write_text(json.dumps({**about, **counts, "corpus": "none", "trials": kept}))
    return path


# Closed forms: the clock and the core


def test_the_clock_runs_with_the_driver_and_jumps_while_it_waits(
    simulation: ModuleType, processor: SimpleNamespace
) -> None:
    clock = simulation.Clock()
    processor.seconds = 2.0
    assert clock.now() == 2.0
    with clock.stopped():
        processor.seconds = 50.0  # the simulation's own
        clock.jump(10.0)
        clock.work(0.5)
    processor.seconds = 51.0
    assert clock.now() == 11.5
    with clock.stopped():
        clock.jump(3.0)  # in the past
    assert clock.now() == 11.5
    assert clock.driver == 3.5
    assert clock.between(0, 11.5) == 3.5
    assert clock.between(1.0, 10.5) == 1.5


def test_a_worker_does_one_thing_after_the_other_and_the_first_that_is_done_comes_first(
    simulation: ModuleType, processor: SimpleNamespace
) -> None:
    class Sleeper:
        def sleep(self, seconds: float) -> float:
            return seconds

    core = simulation.Core(simulation.Clock(), simulation.Toll(*NO_TOLL), lambda method, value: value)
    one, two = (core.deploy(Sleeper).options(num_cpus=1).remote() for _ in range(2))
    tasks = [one.sleep.remote(3.0), one.sleep.remote(1.0), two.sleep.remote(3.5), two.sleep.remote(100.0)]
    assert core.wait(tasks, num_returns=1, timeout=2.0) == ([], tasks)
    assert core.clock.now() == 2.0
    order = []
    while len(tasks) > 2:
        [ready], tasks = core.wait(tasks, num_returns=1, timeout=None)
        order.append((core.get(ready), core.clock.now()))
    assert order == [(3.0, 3.0), (3.5, 3.5)]
    assert core.wait(tasks[1:], num_returns=1, timeout=50.0)[0] == []  # nobody waits for what is done at 4
    assert core.clock.now() == 53.5
    assert core.clock.driver == 0.0


def test_the_toll_is_the_drivers_time(simulation: ModuleType, processor: SimpleNamespace) -> None:
    core = simulation.Core(simulation.Clock(), simulation.Toll(0.1, 0.2, 0.4), lambda method, value: 1.0)
    task = core.deploy(SimpleNamespace).remote(train=None).stop.remote()
    core.get(core.wait([task], num_returns=1, timeout=None)[0][0])
    assert core.clock.now() == pytest.approx(1.5)  # the wait's is over before the task is
    assert core.clock.driver == pytest.approx(0.7)


# Closed forms: a search


@pytest.mark.parametrize(("count", "whole", "seconds"), [(1, False, 31.05), (2, False, 18.0), (3, True, 13.05)])
def test_the_real_driver_runs_on_virtual_workers(
    workers: Cluster,  # Tune keeps names of trainables in Ray
    settings: Settings,
    simulation: ModuleType,
    recorded: ModuleType,
    processor: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    count: int,
    whole: bool,
    seconds: float,
) -> None:
    """A start of 5 s, trials of 4 epochs of 1 s with 3 saves of 0.1 s, resets of 0.05 s: all else is nothing."""
    monkeypatch.setattr(recorded, "CHECKPOINT_SECONDS", 0.5)
    path = write_recording(tmp_path / "recorded.json")
    settings = replace(settings, model_option={"width": WIDTH}, epochs=EPOCHS, trials=6, stopping="none")
    place = Cluster(1, 0.0, count, None, None, None)
    log = TrialLog(settings.run_folder / "trials.jsonl")
    job = {**trials.make_job(settings, tmp_path, tmp_path, place), "recording": str(path), "whole": whole}
    costs = {"start": 5.0, "reset": 0.05, "save": 0.1}

    def cost(method: str, value: Any) -> float:
        return float(value["time_this_iter_s"]) if method == "train" else costs.get(method, 0.0)

    with simulation.simulated(count, simulation.Toll(*NO_TOLL), cost) as core:
        display = Display(Console(file=io.StringIO()), clock=core.clock.now)
        searcher = trials.make_searcher(settings, job, log)
        trials.run_trials(recorded.RecordedTrainable, searcher, log, settings, place, display)
    assert sorted(log.records) == list(range(6))
    assert all(record.state == "COMPLETE" and record.epochs == EPOCHS for record in log.records.values())
    assert all(record.size == Plan.from_config(record.plan, ARCH).final.size() for record in log.records.values())
    assert len(core.trained) == 6 * (1 if whole else EPOCHS)
    assert sum(first for _, _, first in core.trained) == 6
    assert max(end for _, end, _ in core.trained) == pytest.approx(seconds)
    assert core.clock.driver == 0.0


# Properties: what trials come to


def test_the_regression_finds_what_plans_do(recorded: ModuleType, tmp_path: Path) -> None:
    kept = recorded.Recording(write_recording(tmp_path / "recorded.json"))
    assert kept.spread < 0.02
    for plan in plans(60)[40:]:
        odds = 2 - 0.5 * np.log(plan["lr"]) / np.log(10)
        assert kept.outcome(plan, 0).worth == pytest.approx(1 / (1 + np.exp(odds)), rel=0.1)


def test_sizes_are_those_of_the_detectors(recorded: ModuleType, tmp_path: Path) -> None:
    kept = recorded.Recording(write_recording(tmp_path / "recorded.json"))
    for plan in plans(60)[40:]:
        outcome, final = kept.outcome(plan, 0), Plan.from_config(plan, ARCH).final
        assert outcome.widths == final.total_widths()
        assert outcome.size == final.size()


def test_a_trial_is_decided_by_its_plan_and_the_runs_seed(recorded: ModuleType, tmp_path: Path) -> None:
    kept = recorded.Recording(write_recording(tmp_path / "recorded.json"))
    kept.spread = 0.5
    plan, other = plans(2)
    assert kept.outcome(plan, 1) == kept.outcome(dict(reversed(plan.items())), 1)
    assert kept.outcome(plan, 1).eer != kept.outcome(plan, 2).eer
    assert kept.outcome(plan, 1).worth == kept.outcome(plan, 2).worth != kept.outcome(other, 1).worth
    odds = [np.log(e / (1 - e)) for e in (min(kept.outcome(plan, seed).eer) for seed in range(400))]
    expected = kept.outcome(plan, 0).worth
    assert np.mean(odds) == pytest.approx(np.log(expected / (1 - expected)), abs=0.1)
    assert np.std(odds) == pytest.approx(0.5, rel=0.15)


def test_the_recording_beside_the_script_can_be_read(recorded: ModuleType) -> None:
    kept = recorded.Recording()
    assert recorded.FILE.stat().st_size < 100_000
    assert kept.about["corpus"] == "asvspoof2019-la"
    for trial in kept.about["trials"]:
        assert len(trial["eer"]) == len(trial["seconds"]) == kept.about["epochs"]
        assert min(trial["eer"]) <= trial["best_eer"] + 1e-4
        assert Plan.from_config(trial["plan"], kept.arch).final.size() == trial["size"]


# Round trip


def test_a_run_is_recorded(
    settings: Settings, recorded: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "load_detector", lambda _: SimpleNamespace(card={"eer_dev": 0.2}))
    folder = settings.run_folder
    (folder / "settings.json").write_text(settings.to_json())
    splits = {"train": {"bona_fide": 3, "spoof": 4}, "dev": {"bona_fide": 5, "spoof": 6, "speakers": 2}}
    (folder / "corpus.json").write_text(json.dumps({"name": "small", "splits": splits}))
    log = TrialLog(folder / "trials.jsonl")
    [plan] = plans(1)
    log.append(Record(0, "COMPLETE", None, plan, eer=0.123456, size=77, epochs=2))
    log.append(Record(1, "FAIL", None, plan, epochs=1, error="no"))
    log.append(Record(2, "COMPLETE", None, plan, eer=0.3, size=77, epochs=2))  # the log lacks an epoch
    line = "2026-01-02 03:04:{} INFO search.running.tune_callback: trial {}"
    ends = {"05,500": "0 begins (paper)", "06,000": "1 begins", "07,750": "0: epoch 1 of 2, EER 0.2000"}
    ends |= {"08,000": "1: epoch 1 of 2, EER 0.4000", "09,000": "2 begins", "09,250": "0: epoch 2 of 2, EER 0.1235"}
    ends |= {"10,000": "2: epoch 1 of 2, EER 0.3000"}
    (folder / "run.log").write_text("".join(line.format(*one) + "\n" for one in ends.items()))
    kept = recorded.record(folder)
    [trial] = kept["trials"]
    assert trial == {"plan": plan, "size": 77, "best_eer": 0.12346, "eer": [0.2, 0.1235], "seconds": [2.25, 1.5]}
    assert kept["train"] == 7
    assert kept["dev"] == {"bona_fide": 5, "spoof": 6}
    assert kept["base_eer"] == 0.2
    assert kept["model_option"] == dict(settings.model_option)
