"""One signal ends whatever is under way and starts nothing else; what a run cannot write to its log ends nothing."""

from __future__ import annotations

import logging
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import finished_run
from full_disk import full_disk
from search.cluster.ray_cluster import Cluster
from search.display.progress import make_display
from search.running import confirm_front, interruption, preparation, trials
from search.running import search as searching
from search.running.confirmation import Seed
from search.running.outcome import Outcome
from search.runs.members import StoredRun
from search.settings.options import Settings

CLUSTER = Cluster(cpus=1, gpus=0.0, concurrent=2, dashboard=None, login=None, waiting=None)


def interrupted_trials(*given: Any) -> None:
    """Trials to which Ctrl-C happens."""
    with interruption.deferred():
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("confirm", [0, 3])
def test_after_a_signal_in_the_trials_no_confirmation_starts(
    confirm: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "prepare_features", lambda *given: (Path(), {}))
    monkeypatch.setattr(preparation, "train_base", lambda *given: Path())
    monkeypatch.setattr(trials, "make_job", lambda *given: {"size_base": 1})
    monkeypatch.setattr("search.tuning.warm_start.warm_start_trials", lambda *given: [])
    monkeypatch.setattr(trials, "make_searcher", lambda *given: None)
    monkeypatch.setattr(trials, "run_trials", interrupted_trials)
    monkeypatch.setattr(searching, "finish", lambda *given: True)
    outcome = Outcome()

    def run() -> None:
        own = replace(settings, confirm=confirm)
        searching._run_trials(own, [], lambda: CLUSTER, None, make_display(quiet=True), outcome)

    if confirm:
        with pytest.raises(KeyboardInterrupt):
            run()
    else:
        run()
    assert outcome.front, "what ended is shown"


@pytest.mark.usefixtures("handled")
def test_after_a_signal_a_confirmation_trains_neither_controls_nor_other_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StoredRun.open(finished_run.make(tmp_path))
    seeds: list[int] = []

    def base(own: Settings, *given: Any) -> Path:
        seeds.append(own.seed)
        return run.paths.base

    monkeypatch.setattr(preparation, "train_base", base)
    monkeypatch.setattr(trials, "run_trials", interrupted_trials)
    monkeypatch.setattr(confirm_front, "_carry_out", lambda *given: pytest.fail("a control is trained"))
    with pytest.raises(KeyboardInterrupt):
        confirm_front.confirm(run, 3, lambda: CLUSTER, make_display(quiet=True), controls=True)
    assert seeds == [1]


@pytest.mark.usefixtures("handled")
def test_a_signal_does_not_wait_for_controls_that_are_being_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StoredRun.open(finished_run.make(tmp_path))
    for_ever, ended = threading.Event(), []

    def train(train: object, seed: Seed) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        for_ever.wait(120)
        ended.append(seed)
        return ""

    monkeypatch.setattr(preparation, "train_base", lambda *given: run.paths.base)
    monkeypatch.setattr(trials, "run_trials", lambda *given: None)
    monkeypatch.setattr(interruption, "_handle", lambda number, frame: (_ for _ in ()).throw(KeyboardInterrupt))
    interruption.install()
    monkeypatch.setattr(confirm_front, "_carry_out", train)
    with pytest.raises(KeyboardInterrupt):
        confirm_front.confirm(run, 1, lambda: CLUSTER, make_display(quiet=True), controls=True)
    assert not ended
    for_ever.set()


def test_a_log_on_a_full_disk_ends_nothing(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even in the display's context, where what is printed goes to the log, and errors of the log are printed."""
    with preparation.run_log(settings), make_display(quiet=True):
        logger = logging.getLogger("search.running.trials")
        logger.info("before")
        with full_disk(settings.paths.log.stat().st_size):
            for _ in range(3):
                logger.info("x" * 10_000)
        logger.info("after")
    assert settings.paths.log.read_text().splitlines()[-1].endswith("after")
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
