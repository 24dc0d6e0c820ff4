"""What the supervisor does with drivers that end well, die, wait for ever or are interrupted."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from project_file import HELPERS
from search.driver import supervisor
from search.running.outcome import Outcome
from search.runs.members import StoredRun
from search.runs.record import Record
from search.settings.options import Settings


class _Jobs:
    """What drivers were started with, as it is when it is counted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0


Script = Callable[..., _Jobs]
DONE = {"tell": {"outcome": asdict(Outcome(front=True))}}


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Lays down what the drivers will do, one after the other; gives the jobs that they were started with."""
    path = tmp_path / "script"
    monkeypatch.setenv("DROPIN_SCRIPT", str(path))
    monkeypatch.setattr(supervisor, "ENTRY", "scripted_driver")
    monkeypatch.syspath_prepend(str(HELPERS))
    monkeypatch.setattr(supervisor, "PATIENCE", 1.0)

    def given(*lines: dict[str, Any]) -> _Jobs:
        path.write_text("\n".join(map(json.dumps, lines)))
        return jobs

    jobs = _Jobs(path.with_suffix(".jobs"))
    return given


@pytest.fixture
def written(settings: Settings) -> Settings:
    """Settings of a run that has begun."""
    settings.paths.settings.write_text(settings.to_json())
    return settings


def record(number: int) -> dict[str, Any]:
    return asdict(Record(number, "COMPLETE", None, {"x": number}, eer=0.1, size=100 + number, weighted_eer=0.1))


def test_a_driver_tells_how_it_ended(written: Settings, script: Script) -> None:
    missing = Outcome(front=True, missing_files=("run.log",))
    jobs = script({"tell": {"outcome": asdict(missing)}})
    assert supervisor.search(written, quiet=True) == missing
    assert len(jobs) == 1


def test_a_lost_driver_is_started_anew_and_the_run_goes_on(
    written: Settings, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = script({"kill": signal.SIGKILL}, {"tell": {"lost": "the raylet has died"}, "exit": 75}, DONE)
    assert supervisor.search(written).front
    assert len(jobs) == 3
    printed = capsys.readouterr().out
    assert "was ended by SIGKILL: Ray is started anew" in printed
    assert "the raylet has died: Ray is started anew" in printed


def test_a_driver_that_is_lost_again_and_again_leaves_the_front_and_the_way_to_go_on(
    written: Settings, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(written.paths.trials)
    jobs = script({"kill": 9}, {"ended": [record(0)], "log": log, "kill": 9}, *[{"exit": 3}] * 5)
    outcome = supervisor.search(written)
    # Once, once with a trial that ended, and then so often without one as is allowed.
    assert len(jobs) == 2 + supervisor.RESTARTS + 1
    assert outcome.front
    assert outcome.error is not None
    assert "status 3" in outcome.error
    assert pq.read_table(written.paths.front)["number"].to_pylist() == [0]
    assert f"python -m search.run --resume {written.run_folder}" in capsys.readouterr().out


def test_a_cluster_that_is_lost_is_not_started_anew(
    written: Settings, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = script({"tell": {"lost": "the cluster does not answer"}, "exit": 75}, DONE)
    outcome = supervisor.search(replace(written, address="127.0.0.1:6379"))
    assert len(jobs) == 1
    assert (outcome.front, outcome.error) == (False, "the cluster does not answer")
    assert "--resume" in capsys.readouterr().out


def test_the_time_limit_counts_from_the_first_driver(written: Settings, script: Script) -> None:
    jobs = script({"kill": 9}, DONE)
    supervisor.search(replace(written, minutes=5), quiet=True)
    assert len(jobs) == 2
    first, second = (json.loads(line) for line in jobs.path.read_text().splitlines())
    limits = [json.loads(job["settings"])["minutes"] for job in (first, second)]
    assert limits[0] == 5
    assert 4.5 < limits[1] < 5


def interrupt(times: int, jobs: _Jobs) -> None:
    """Ctrl-C in this process as soon as a driver is there, and again when the driver has got it, so many times."""

    def press() -> None:
        noted = jobs.path.with_suffix(".asked")
        while not len(jobs):
            time.sleep(0.01)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            while not noted.exists():
                time.sleep(0.01)

    threading.Thread(target=press, daemon=True).start()


def test_a_signal_is_passed_on_once(written: Settings, script: Script) -> None:
    jobs = script({"wait": asdict(Outcome(front=True))})
    before = signal.getsignal(signal.SIGINT)
    interrupt(1, jobs)
    assert supervisor.search(written, quiet=True) == Outcome(front=True)
    assert signal.getsignal(signal.SIGINT) == before


def test_the_second_signal_ends_a_driver_that_does_not_end(written: Settings, script: Script) -> None:
    jobs = script({"ended": [record(0)], "log": str(written.paths.trials), "ignore": True})
    interrupt(2, jobs)
    outcome = supervisor.search(written, quiet=True)
    assert outcome == Outcome(front=True)
    assert len(jobs) == 1


def test_nothing_of_a_drivers_session_is_left(written: Settings, script: Script, tmp_path: Path) -> None:
    script({**DONE, "child": str(tmp_path / "child")})
    supervisor.search(written, quiet=True)
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("address", [None, "127.0.0.1:6379"])
def test_a_confirmation_is_started_anew_where_ray_is_its_own_and_in_the_end_says_how_to_go_on(
    address: str | None, settings: Settings, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    run = StoredRun(settings.run_folder, replace(settings, address=address), {}, ())
    log = run.paths.of_seed(1).trials
    log.parent.mkdir(parents=True)
    jobs = script({"ended": [record(0)], "log": str(log), "kill": 9}, *[{"kill": 9}] * 9)
    outcome = supervisor.confirm(run, 2, controls=True)
    # Once with a trial of a seed that ended, and then so often without one as is allowed.
    assert len(jobs) == (1 if address else 1 + supervisor.RESTARTS + 1)
    assert not outcome.front
    assert outcome.error is not None
    printed = capsys.readouterr().out
    assert printed.count("Ray is started anew") == len(jobs) - 1
    assert f"python -m search.confirm {run.folder} --seeds 2 --controls" in printed


def test_a_driver_that_ends_before_it_reads_what_to_do_is_lost(
    written: Settings, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ENTRY", "no_such_driver")
    outcome = supervisor.search(written, quiet=True)
    assert outcome.error is not None
    assert "status 1" in outcome.error
