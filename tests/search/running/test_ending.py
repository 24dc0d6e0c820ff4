"""How a run ends before its trials have: by time, by a signal, by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.trial import TrialState

import pretended
import project_file
from carrying_out import PLAIN, carry_out, states
from search.cluster.ray_cluster import Cluster
from search.running import interruption
from search.running.tune_callback import StopConditions
from search.settings.options import Settings


def slow(trial: optuna.Trial) -> dict[str, Any]:
    return {**pretended.space(trial), "seconds": 30.0}


def test_when_time_is_over_trials_stop_and_are_run_again_by_a_resumed_run(
    settings: Settings, workers: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Over(StopConditions):
        def stop_all(self) -> bool:
            return (settings.run_folder / "trials.jsonl").exists()

    with monkeypatch.context() as patched:
        patched.setattr("search.running.trials.StopConditions", Over)
        records = carry_out(replace(settings, trials=None), workers, recipes={"plain": PLAIN}, space=slow)
    assert list(records) == [0]
    assert TrialState.COMPLETE not in states(settings)
    assert len(pq.read_table(settings.run_folder / "front.parquet")) == 1
    more = carry_out(replace(settings, trials=3), workers, recipes={"plain": PLAIN})
    assert sorted(more) == [0, 1, 2]
    assert TrialState.RUNNING not in states(settings)


def test_limits_are_time_and_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = StopConditions(minutes=1)
    assert 59 < limits.deadline - time.monotonic() <= 60
    assert not limits.stop_all()
    limits.deadline = time.monotonic() - 1
    assert limits.stop_all()
    monkeypatch.setattr(interruption, "asked", lambda: True)
    assert StopConditions(None).stop_all()


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_raises_at_once_unless_it_is_deferred(number: signal.Signals, handled: None) -> None:
    assert not interruption.asked()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert interruption.asked()
    with pytest.raises(KeyboardInterrupt), interruption.deferred():
        pytest.fail("what was asked for before is not forgotten")


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_deferred_signal_is_noted_and_the_second_ends_the_process(
    number: signal.Signals, handled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []
    monkeypatch.setattr("search.running.interruption.os._exit", statuses.append)
    with interruption.deferred():
        os.kill(os.getpid(), number)
        assert interruption.asked()
        assert interruption.seconds_since() >= 0
        os.kill(os.getpid(), number)
    assert statuses[0] == interruption.INTERRUPTED
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_ctrl_c_ends_the_run_with_a_front_and_without_a_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project_file.ROOT), "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, str(project_file.HELPERS / "run_pretended.py"), str(tmp_path), "30", "9"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("trial 0 (quick)"):
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes, Ray's among them
        output = "".join(lines)
        assert process.wait() == 0, output
    finally:
        killer.cancel()
    assert "Traceback" not in output
    assert "asked to end: trials under way are stopped" in output
    assert "search.export" in output
    assert pq.read_table(tmp_path / "one" / "front.parquet")["recipe"].to_pylist() == ["quick"]
