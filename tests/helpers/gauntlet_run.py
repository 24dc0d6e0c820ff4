"""A real search as a process of its own that something happens to: its processes, what it has written, what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pyarrow.parquet as pq
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from project_file import ROOT
from search.runs import trial_log
from search.runs.front import front_of
from search.runs.writer_lock import NAME

TRIALS = 10
OPTIONS = (
    *("--space", "plasticity", "--corpus", "synthetic", "--model-option", "width=4", "--epochs", "12"),
    *("--base-epochs", "1", "--trials", str(TRIALS), "--stopping", "none", "--cpus-per-trial", str(os.cpu_count())),
)
MARK = "DROPIN_GAUNTLET"
"""An environment variable, by which all processes of a run are found, whoever their parent is."""
PARTS = {
    "driver": lambda line: "search.driver.entry" in line,
    "worker": lambda line: line.startswith("ray::"),
    "raylet": lambda line: "/raylet/raylet" in line.split(" ")[0],
    "control process": lambda line: "gcs_server" in line.split(" ")[0],
    "dashboard agent": lambda line: "raylet" not in line.split(" ")[0] and "dashboard/agent.py" in line,
}
"""How the processes of a run are told apart, by their command lines."""


class GauntletRun:
    """A run's folder, and the command that writes it at the moment.

    Attributes:
        folder: of the run.
        process: the latest command.
    """

    def __init__(self, storage: Path, cache: Path) -> None:
        """Start a new run below `storage`."""
        self.folder, self._cache = storage / "one", cache
        self._mark, self._output = uuid.uuid4().hex, storage.parent / f"{storage.name}.txt"
        self.drivers: set[int] = set()
        self.environment: dict[str, str] = {}
        self.process = self.start("--storage", str(storage), "--name", "one", *OPTIONS)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start ``search.run`` in a session of its own."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DROPIN_CACHE": str(self._cache), MARK: self._mark}
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "search.run", *options],
                cwd=ROOT,
                env={**environment, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.process

    def resume(self) -> subprocess.Popen[bytes]:
        """Start the command that goes on."""
        return self.start("--resume", str(self.folder))

    @property
    def output(self) -> str:
        """All that the commands have printed."""
        return self._output.read_text(errors="replace")

    def processes(self) -> Iterator[psutil.Process]:
        """All processes of the run that are alive."""
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue  # it has ended meanwhile

    def part(self, name: str) -> psutil.Process | None:
        """A process of the run by its name in `PARTS`, or the command itself."""
        if name == "command":
            return psutil.Process(self.process.pid)
        for process in self.processes():
            try:
                if PARTS[name](" ".join(process.cmdline())):
                    return process
            except psutil.Error:
                continue
        return None

    def ended(self) -> list[dict[str, Any]]:
        """The lines of the trial log."""
        log = self.folder / "trials.jsonl"
        lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
        return [json.loads(line) for line in lines]

    def wait(self, seconds: float) -> int | None:
        """The command's exit status, or ``None`` where it does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill_all(self) -> None:
        """End every process of the run."""
        for process in list(self.processes()):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
        self.process.wait()

    def faults(self, before: list[dict[str, Any]]) -> list[str]:
        """What is wrong with the run after its last command has ended.

        Args:
            before: the trials that had ended when something happened.
        """
        records = self.ended()
        counts = Counter(record["number"] for record in records)
        found = [f"trial {number} is in the log {count} times" for number, count in counts.items() if count > 1]
        if records[: len(before)] != before:
            found.append("a trial that had ended is lost or was carried out again")
        if len(counts) != TRIALS:
            found.append(f"{len(counts)} of {TRIALS} trials ended")
        found += [f"trial {one['number']} failed: {one['error']}" for one in records if one["state"] == "FAIL"]
        return found + self._table_faults() + self._study_faults() + self._leftovers()

    def _table_faults(self) -> list[str]:
        records = trial_log.read(self.folder / "trials.jsonl")
        front = pq.read_table(self.folder / "front.parquet")["number"].to_pylist()
        if front != [record.number for record in front_of(records.values())]:
            return ["front.parquet is not the front of the trial log"]
        return [f"detector {n} is missing" for n in front if not (self.folder / "detectors" / str(n)).is_dir()]

    def _study_faults(self) -> list[str]:
        storage = JournalStorage(JournalFileBackend(str(self.folder / "study.journal")))
        states = {record["number"]: record["state"] for record in self.ended()}
        found = []
        latest: dict[int, TrialState] = {}
        for trial in optuna.load_study(study_name="search", storage=storage).trials:
            if trial.state == TrialState.RUNNING:
                found.append(f"trial {trial.user_attrs.get('number')} runs in the study")
            if "number" in trial.user_attrs:
                latest[trial.user_attrs["number"]] = trial.state
        wrong = [number for number, state in latest.items() if states.get(number) != state.name]
        return found + [f"trial {number} is {latest[number].name} in the study" for number in wrong]

    def _leftovers(self) -> list[str]:
        found = [f"process left: {' '.join(one.cmdline())[:80]}" for one in self.processes()]
        names = {"tune", "growth_cache", "trained"}
        found += [f"{path} is left" for path in self.folder.rglob("*") if path.name in names or path.suffix == ".part"]
        sessions = Path("/tmp", f"ray-{os.getuid()}", "ray").glob("session_*")
        ours = {str(pid) for pid in self.drivers}
        found += [f"{one} is left" for one in sessions if one.name.rpartition("_")[2] in ours]
        lock = FileLock(self.folder / NAME)
        with lock.acquire(timeout=0):
            return found


def wait_until(what: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; whether it came."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
