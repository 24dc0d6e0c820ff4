"""The supervisor: starts the driver, passes signals on, and does what is left to do when the driver is lost.

The driver is in a session of its own, so that Ctrl-C, a closed terminal or a signal to a process group reach it through
here alone, and Ray's processes, which are in its session, can be found and ended after it. Where Ray was started by the
driver, it is started anew and the run goes on; otherwise, and when that does not help, the front of what ended is
written and the way to go on is said.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from search.cluster import local_ray, ray_compat
from search.display.progress import Display, make_display
from search.display.terminal import command
from search.running.finish import finish, resume_command
from search.running.outcome import Outcome
from search.runs.members import StoredRun
from search.runs.trial_log import TrialLog
from search.runs.writer_lock import writer_lock
from search.settings.options import Settings
from search.storage import bucket_sync

ENTRY = "search.driver.entry"
RESTARTS = 3
"""So often in a row the driver is started anew without a trial having ended."""
POLL_SECONDS = 0.2
LEAST_MINUTES = 0.01
"""What is left at least of ``--minutes`` for a driver that is started anew; 0 would be no limit."""
PATIENCE = 10.0
"""Seconds that a driver may take to end at the second signal."""


@dataclass
class _Signals:
    """How often the end was asked for."""

    asked: int = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1


@dataclass
class _Driven:
    """What became of a driver: what it told, and its exit status."""

    told: dict[str, Any] = field(default_factory=dict)
    status: int = 0

    @property
    def outcome(self) -> Outcome | None:
        if "outcome" not in self.told:
            return None
        found = self.told["outcome"]
        return Outcome(**{**found, "missing_files": tuple(found["missing_files"])})

    @property
    def why(self) -> str:
        """Why it was lost."""
        if "lost" in self.told:
            return str(self.told["lost"])
        how = f"by {signal.Signals(-self.status).name}" if self.status < 0 else f"with status {self.status}"
        return f"the process that carries out the run was ended {how}"


def search(settings: Settings, *, quiet: bool = False) -> Outcome:
    """Carry out a search, a new one or one that goes on from what its folder holds.

    Args:
        settings: checked (see `search.settings.start`).
        quiet: show nothing.
    """
    display, first = make_display(quiet=quiet), 0.0

    def job() -> dict[str, Any]:
        """What the next driver does; ``--minutes`` count from the first one."""
        nonlocal first
        now, own = time.monotonic(), settings
        first = first or now
        if settings.minutes is not None and now > first:
            own = replace(settings, minutes=max(settings.minutes - (now - first) / 60, LEAST_MINUTES))
        return {"kind": "search", "settings": own.to_json(), "quiet": quiet}

    with _forwarded() as signals:
        driven = _until_one_ends(job, [settings.paths.trials], signals, display, local=settings.address is None)
    outcome = driven.outcome
    if outcome is None:
        return _conclude(settings, driven.why, display, asked=signals.asked > 0)
    if outcome.interrupted and not outcome.begun:
        display.message(f"interrupted before the first trial; to go on: {resume_command(settings)}")
    return outcome


def confirm(run: StoredRun, seeds: int, *, controls: bool, quiet: bool = False) -> Outcome:
    """Confirm the front of a run.

    Args:
        run: a run.
        seeds: how many fresh seeds.
        controls: train what members are compared with as well.
        quiet: show nothing.
    """
    display, settings = make_display(quiet=quiet), run.settings
    job = {"kind": "confirm", "folder": str(run.folder), "settings": settings.to_json(), "quiet": quiet}
    job |= {"seeds": seeds, "controls": controls}
    logs = [run.paths.of_seed(seed).trials for seed in range(settings.seed + 1, settings.seed + 1 + seeds)]
    with _forwarded() as signals:
        driven = _until_one_ends(lambda: job, logs, signals, display, local=settings.address is None)
    if (outcome := driven.outcome) is not None:
        return outcome
    again = command("search.confirm", settings.run_uri or run.folder, "--seeds", seeds, *["--controls"] * controls)
    display.message(f"{driven.why}; what has been trained is kept. To go on: {again}")
    return Outcome(interrupted=signals.asked > 0, error=None if signals.asked else driven.why)


def _until_one_ends(
    job: Callable[[], dict[str, Any]], logs: Sequence[Path], signals: _Signals, display: Display, *, local: bool
) -> _Driven:
    """Start drivers until one tells how it ended, or starting another one is of no use.

    Args:
        job: what the next driver does.
        logs: the trial logs by which it is seen whether drivers that are lost came any further.
        signals: those that ask for the end; then no other driver is started.
        display: told that another one is started.
        local: whether a driver starts Ray itself; a cluster that is lost cannot be started here.
    """
    fruitless = 0
    while True:
        before = _ended(logs)
        driven = _drive(job(), signals)
        fruitless = 0 if _ended(logs) > before else fruitless + 1
        if driven.outcome is not None or signals.asked or not local or fruitless > RESTARTS:
            return driven
        display.message(f"{driven.why}: Ray is started anew, and the run goes on")


def _conclude(settings: Settings, why: str, display: Display, *, asked: bool) -> Outcome:
    """Write the front of what ended, since the driver does not."""
    outcome = Outcome(error=None if asked else why)
    folder = settings.run_folder
    if settings.paths.settings.exists():
        with bucket_sync.synced_folder(folder, settings.run_uri) as sync, writer_lock(folder):
            outcome.front = finish(settings, TrialLog(settings.paths.trials), display)
        outcome.missing_files = () if sync is None else sync.missing_files
    outcome.interrupted = asked and not outcome.front
    display.message(f"{'ended at once' if asked else why}; to go on: {resume_command(settings)}")
    return outcome


def _ended(logs: Sequence[Path]) -> int:
    """How many trials have ended, by the lines of their logs."""
    return sum(log.read_bytes().count(b"\n") for log in logs if log.exists())


def _drive(job: dict[str, Any], signals: _Signals) -> _Driven:
    """Start a driver and wait for its end, and for that of all processes of its session."""
    reading, writing = os.pipe()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", ENTRY, str(writing)],
        stdin=subprocess.PIPE,
        pass_fds=[writing],
        start_new_session=True,
        env=environment,
    )
    os.close(writing)
    driven = _Driven()
    try:
        assert process.stdin is not None, "it is a pipe"
        with suppress(BrokenPipeError), process.stdin as stdin:  # it may have ended at once
            stdin.write(json.dumps(job).encode())
        _wait(process, reading, signals, driven.told)
    finally:
        _end_session(process)
        os.close(reading)
    driven.status = process.returncode
    _restore_terminal()
    if "lost" not in driven.told:
        ray_compat.remove_ended_sessions(local_ray.sessions_folder())
    return driven


def _wait(process: subprocess.Popen[bytes], reading: int, signals: _Signals, told: dict[str, Any]) -> None:
    """Wait for the end of a driver; pass signals on once it handles them, and collect what it tells."""
    forwarded, rest, patience = 0, b"", None
    while True:
        ended = process.poll() is not None
        while select.select([reading], [], [], 0 if ended else POLL_SECONDS)[0]:
            if not (found := os.read(reading, 65536)):
                break
            *lines, rest = (rest + found).split(b"\n")
            for line in lines:
                told.update(json.loads(line))
        if ended:
            return
        if told.get("ready") and signals.asked > forwarded:
            forwarded += 1
            process.send_signal(signal.SIGINT)
        if forwarded > 1:
            patience = patience or time.monotonic() + PATIENCE
            if time.monotonic() > patience:
                process.kill()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a driver's session: itself, Ray's processes, trials."""
    left = []
    for other in psutil.process_iter():
        try:
            if other.pid == process.pid or os.getsid(other.pid) == process.pid:
                other.kill()
                left.append(other)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue  # it has ended meanwhile, or is another user's
    process.wait()
    until = time.monotonic() + PATIENCE
    while not all(map(_has_ended, left)) and time.monotonic() < until:
        time.sleep(0.01)


def _has_ended(process: psutil.Process) -> bool:
    """Whether a process that was killed is gone; one that only waits for its parent to look is."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def _forwarded() -> Iterator[_Signals]:
    """Note signals instead of ending at once; a terminal that is closed (SIGHUP) ends nothing.

    In another thread than the main one it does nothing: Python delivers signals to that one alone.
    """
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.note) for number in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by inheritance also Ray's processes
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _restore_terminal() -> None:
    """Show the cursor again, which a driver that was killed had hidden."""
    try:
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[?25h")
            sys.stdout.flush()
    except (OSError, ValueError):
        return  # the terminal is gone
