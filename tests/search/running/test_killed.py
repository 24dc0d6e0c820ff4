"""Runs as processes of their own, ended by real signals at any moment, and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import psutil
import pyarrow.parquet as pq
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from project_file import HELPERS, ROOT

TRIALS, SECONDS = 8, 0.25
PATIENCE = 120.0


def start(runs: Path) -> subprocess.Popen[bytes]:
    """A run of one worker, or the rest of it, in a session of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(HELPERS / "run_pretended.py"), str(runs), str(SECONDS), str(TRIALS)]
    with (runs / "output.txt").open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(PATIENCE)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a session: Ray's processes outlive a driver that is killed by some seconds."""
    for other in psutil.process_iter():
        try:
            if os.getsid(other.pid) == process.pid:
                other.kill()
        except (psutil.Error, ProcessLookupError):
            continue
    process.wait()


def wait_for(process: subprocess.Popen[bytes], what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < until, "the run does not come so far"
        time.sleep(0.02)


def records(runs: Path) -> list[dict[str, Any]]:
    path = runs / "one" / "trials.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def outcome(runs: Path) -> list[tuple[Any, ...]]:
    """What ended, by number: all that does not depend on the clock."""
    return sorted((r["number"], r["state"], r["eer"], r["size"], json.dumps(r["plan"])) for r in records(runs))


def study_of(runs: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(runs / "one" / "study.journal")))
    return optuna.load_study(study_name="search", storage=storage)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    runs = tmp_path_factory.mktemp("undisturbed")
    assert finish(start(runs)) == 0, (runs / "output.txt").read_text()
    assert len(records(runs)) == TRIALS
    return outcome(runs)


def begun(runs: Path) -> int:
    log = runs / "one" / "run.log"
    return log.read_text().count(" begins") if log.exists() else 0


def comes_so_far(runs: Path, ended: int, begins: int) -> bool:
    return len(records(runs)) >= ended and begun(runs) >= begins


def test_a_run_whose_driver_is_ended_again_and_again_is_resumed_to_the_same_front(
    tmp_path: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    before: list[dict[str, Any]] = []
    for number, ended in ((signal.SIGKILL, 1), (signal.SIGTERM, 3), (signal.SIGKILL, 5)):
        run = start(tmp_path)
        # Another trial is under way.
        wait_for(run, partial(comes_so_far, tmp_path, ended, begun(tmp_path) + 1))
        run.send_signal(number)
        assert finish(run) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        after = records(tmp_path)
        assert after[: len(before)] == before, "nothing that ended is lost or done again"
        assert number == signal.SIGKILL or pq.read_table(tmp_path / "one" / "front.parquet").num_rows > 0
        before = after
    assert finish(start(tmp_path)) == 0, (tmp_path / "output.txt").read_text()
    after = records(tmp_path)
    assert after[: len(before)] == before
    assert max(Counter(record["number"] for record in after).values()) == 1
    assert outcome(tmp_path) == undisturbed
    assert not study_of(tmp_path).get_trials(states=(TrialState.RUNNING,))
    table = pq.read_table(tmp_path / "one" / "front.parquet")
    assert 0 < table.num_rows <= TRIALS


def test_a_worker_that_is_killed_costs_a_retry(tmp_path: Path, undisturbed: list[tuple[Any, ...]]) -> None:
    run = start(tmp_path)
    wait_for(run, lambda: begun(tmp_path) >= 3)
    (worker,) = [
        other
        for other in psutil.process_iter(["cmdline"])
        if "Pretended" in " ".join(other.info["cmdline"] or ()) and os.getsid(other.pid) == run.pid
    ]
    worker.kill()
    assert finish(run) == 0, (tmp_path / "output.txt").read_text()
    assert outcome(tmp_path) == undisturbed
    assert "is tried again" in (tmp_path / "one" / "run.log").read_text()
