"""What happens to a run: signals, deaths of its processes, a full or read-only storage, other writers, a lost terminal.

An event happens to a run and, where it passes, waits until it has. It returns what went wrong.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gauntlet_run import GauntletRun, wait_until

STOPPED = float(os.environ.get("DROPIN_GAUNTLET_STOPPED", "20"))
"""Seconds that all processes are stopped."""
WITHOUT_ROOM = 8.0
"""Seconds that the storage is full or read-only."""
Event = Callable[[GauntletRun], list[str]]


def signalled(name: str, number: signal.Signals) -> Event:
    """A process of the run gets a signal, as soon as it is there."""

    def happen(run: GauntletRun) -> list[str]:
        found: list[psutil.Process] = []

        def there() -> bool:
            found.extend(filter(None, [run.part(name)]))
            return bool(found) or run.process.poll() is not None

        if not wait_until(there, 60):
            return [f"no {name} to send {number.name} to"]
        if not found:  # Ray's agents are slow to start where the machine is busy
            pytest.skip(f"the run had ended before it had a {name}")
        try:
            found[0].send_signal(number)
        except psutil.NoSuchProcess:
            return []  # it has just ended by itself
        return []

    return happen


def twice(run: GauntletRun) -> list[str]:
    """Ctrl-C, and once more before the first has had its effect."""
    for _ in range(2):
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    return []


def stopped(run: GauntletRun) -> list[str]:
    """All processes are stopped, as when a laptop is closed, and woken."""
    processes = list(run.processes())
    for number, pause in ((signal.SIGSTOP, STOPPED), (signal.SIGCONT, 0.0)):
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        time.sleep(pause)
    return []


def clock_set_back(run: GauntletRun) -> list[str]:
    """The clock of all Python processes is set back by a day."""
    Path(run.environment["DROPIN_SET_BACK"]).touch()
    return []


def storage_full(run: GauntletRun) -> list[str]:
    """Nothing fits into the storage any more, for a while."""
    filling = run.folder.parent.parent / "filling"
    with filling.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            time.sleep(WITHOUT_ROOM)
    filling.unlink()
    return []


def storage_read_only(run: GauntletRun) -> list[str]:
    """Nothing may be written into the run's folder, for a while: a read-only view of it is mounted over it."""
    folder = str(run.folder)
    if not wait_until(run.folder.exists, 60):
        return ["there is no folder"]
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        time.sleep(WITHOUT_ROOM)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    return []


def other_writers(run: GauntletRun) -> list[str]:
    """Somebody begins a run of the same name, and somebody resumes this one: both are refused."""
    if not wait_until((run.folder / "settings.json").exists, 60):
        return ["there is no run"]
    faults = []
    for options, message in ((run.options, "--name must be new"), (("--resume", str(run.folder)), "one writer")):
        other = run.start(*options, kept=False)
        if other.wait(60) != 2 or message not in run.output:
            faults.append(f"{options[0]} was not refused by status 2 and {message!r}, but {other.returncode}")
    return faults


def terminal_gone(run: GauntletRun) -> list[str]:
    """Whoever read the output is gone, and the terminal hangs up."""
    run.reader.kill()
    run.process.send_signal(signal.SIGHUP)
    return []


def disturbed(run: GauntletRun) -> list[str]:
    """What a run should not even notice, one after the other."""
    return [fault for event in (clock_set_back, other_writers, terminal_gone) for fault in event(run)]


EVENTS: dict[str, Event] = {
    "SIGINT": signalled("command", signal.SIGINT),
    "SIGINT twice": twice,
    "SIGTERM": signalled("command", signal.SIGTERM),
    "SIGKILL of the command": signalled("command", signal.SIGKILL),
    "SIGKILL of the driver": signalled("driver", signal.SIGKILL),
    "SIGKILL of a worker": signalled("worker", signal.SIGKILL),
    "SIGKILL of the raylet": signalled("raylet", signal.SIGKILL),
    "SIGKILL of the dashboard agent": signalled("dashboard agent", signal.SIGKILL),
    "SIGKILL of the control process": signalled("control process", signal.SIGKILL),
    "all processes stopped": stopped,
    "storage full": storage_full,
    "storage read-only": storage_read_only,
    "other writers, clock set back, terminal gone": disturbed,
}
MORE = ("SIGINT twice", "SIGTERM", "SIGKILL of the command", "SIGKILL of the dashboard agent")
"""Events of the long form alone: each is like one of the others."""
NEED_MOUNT = ("storage full", "storage read-only")


def small_storage(folder: Path) -> None:
    """Mount a storage of 64 MB; the test is skipped where that is not allowed."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"a small storage cannot be mounted: {done.stderr.strip()}")


def remove_storage(folder: Path) -> None:
    """Unmount it."""
    if shutil.which("umount") and os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
