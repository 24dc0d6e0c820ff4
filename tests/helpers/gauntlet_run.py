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
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import optuna
import psutil
import pyarrow.parquet as pq
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from project_file import HELPERS, ROOT
from search.runs import trial_log
from search.runs.front import front_of
from trainables.storage.run_paths import WRITER_LOCK

TRIALS = 8
OPTIONS = (
    *("--space", "plasticity", "--corpus", "synthetic", "--model-option", "width=4", "--epochs", "12"),
    *("--base-epochs", "1", "--trials", str(TRIALS), "--stopping", "none", "--cpus-per-trial", str(os.cpu_count())),
)
MARK = "DROPIN_GAUNTLET"
"""An environment variable, by which all processes of a run are found, whoever their parent is."""
PARTS = {
    "driver": lambda line: "search.driver.entry" in line,
    "worker": lambda line: line.startswith("ray::") and "Agent" not in line,
    "raylet": lambda line: "/raylet/raylet" in line.split(" ")[0],
    "control process": lambda line: "gcs_server" in line.split(" ")[0],
    "dashboard agent": lambda line: (
        line.startswith("ray::DashboardAgent")  # as it calls itself once it works
        or ("raylet" not in line.split(" ")[0] and "dashboard/agent.py" in line)
    ),
}
"""How the processes of a run are told apart, by their command lines."""


class GauntletRun:
    """A run's folder, and the command that writes it at the moment.

    Attributes:
        folder: of the run.
        options: of the new run.
        environment: variables of all its processes.
        process: the latest command.
        reader: what reads the output of the first command through a pipe, and writes it into a file.
    """

    def __init__(self, storage: Path, cache: Path, scratch: Path) -> None:
        """Start a new run.

        Args:
            storage: folder of runs.
            cache: with the base, so that runs start in seconds.
            scratch: folder for what the tests themselves write.
        """
        scratch.mkdir(parents=True, exist_ok=True)
        self._seen: set[psutil.Process] = set()
        self.folder, self._mark, self._output = storage / "one", uuid.uuid4().hex, scratch / "output.txt"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS / 'set_back'}",
            "DROPIN_CACHE": str(cache),
            "DROPIN_SET_BACK": str(scratch / "set-back"),
            MARK: self._mark,
        }
        self.options = ("--storage", str(storage), "--name", "one", *OPTIONS)
        with self._output.open("ab") as output:
            self.reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
        assert self.reader.stdin is not None, "it is a pipe"
        self.process = self.start(*self.options, output=self.reader.stdin)
        self.reader.stdin.close()  # the run alone has it now

    def start(self, *options: str, kept: bool = True, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start ``search.run`` in a session of its own; `kept` says whether it is the run's command from now on."""
        with self._output.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "search.run", *options],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output or file,
                stderr=file,
                start_new_session=True,
            )
        if kept:
            self.process = process
        return process

    def go_on(self) -> None:
        """Start the command that goes on, or begins where the first one was ended before there was a run."""
        begun = (self.folder / "settings.json").exists()
        self.start(*(("--resume", str(self.folder)) if begun else self.options))

    @property
    def output(self) -> str:
        """All that the commands have printed."""
        return self._output.read_text(errors="replace")

    def processes(self) -> Iterator[psutil.Process]:
        """All processes of the run that are alive: those with the mark, their children, and what was one of them.

        Ray's agents write their name over their environment, and are known by the raylet that started them.
        """
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has ended meanwhile
                if process.environ().get(MARK) == self._mark:
                    self._seen |= {process, *process.children(recursive=True)}
        for process in list(self._seen):
            with suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

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
        return ended(self.folder)

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
        self.reader.kill()
        self.reader.wait()

    def faults(self, before: list[dict[str, Any]], undisturbed: Path) -> list[str]:
        """What is wrong with the run after its last command has ended.

        Args:
            before: the trials that had ended when something happened.
            undisturbed: folder of the same run to which nothing happened.
        """
        records = self.ended()
        counts = Counter(record["number"] for record in records)
        found = [f"trial {number} is in the log {count} times" for number, count in counts.items() if count > 1]
        if records[: len(before)] != before:
            found.append("a trial that had ended is lost or was carried out again")
        if len(counts) != TRIALS:
            found.append(f"{len(counts)} of {TRIALS} trials ended")
        if outcome(records) != outcome(ended(undisturbed)):
            found.append("the trials are not those of a run to which nothing happened")
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
        sessions = Path("/tmp", f"ray-{os.getuid()}", "ray").glob("session_*_*_*_*")
        found += [f"{one} is left" for one in sessions if not psutil.pid_exists(int(one.name.rpartition("_")[2]))]
        lock = FileLock(self.folder / WRITER_LOCK)
        with lock.acquire(timeout=0):
            return found


def ended(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's trial log."""
    log = folder / "trials.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def outcome(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What ended, by number: all that does not depend on the clock."""
    return sorted((one["number"], one["state"], one["eer"], one["size"], json.dumps(one["plan"])) for one in records)


def wait_until(what: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; whether it came."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
