"""A real search on simulated speech goes through every signal and death at random moments, and loses nothing.

After each: within a minute there is an end or progress; resumed where it ended, every trial has ended once, those that
had ended before unchanged; tables and study agree with the trial log; no process, lock, socket or folder is left.

``DROPIN_GAUNTLET=1`` lets each event of the short form happen once, a larger number so many random ones (`make
gauntlet`), and ``DROPIN_GAUNTLET_SEED`` chooses other moments.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

import gauntlet_events as events
from gauntlet_run import TRIALS, GauntletRun, wait_until

COUNT = int(os.environ.get("DROPIN_GAUNTLET", "0"))
SEED = int(os.environ.get("DROPIN_GAUNTLET_SEED", "0"))
PATIENCE, WHOLE = 60.0, 180.0
"""Seconds until an end or progress, and until the end of a run."""
pytestmark = pytest.mark.skipif(not COUNT, reason="takes minutes: run by make gauntlet")


def cases() -> list[tuple[str, int]]:
    """Events, and the seeds of their moments."""
    names = list(events.EVENTS)
    if COUNT <= 1:
        return [(name, SEED) for name in names if name not in events.MORE]
    chosen = random.Random(SEED)
    return [(chosen.choice(names), SEED + number) for number in range(COUNT)]


@pytest.fixture(scope="session")
def undisturbed(corpus_cache: Path) -> Path:
    """A run to which nothing happens, made once for all processes; its cache lets the others start in seconds."""
    storage = corpus_cache / "undisturbed"
    with FileLock(f"{storage}.lock"):
        if not (storage / "one" / "front.parquet").exists():
            run = GauntletRun(storage, corpus_cache, storage / "scratch")
            assert run.wait(WHOLE) == 0, run.output
    return storage / "one"


def moment(run: GauntletRun, chosen: random.Random) -> str:
    """Wait for a random moment, while the run starts or after some trials; what it was."""
    if chosen.random() < 0.3:
        seconds = chosen.uniform(0.0, 8.0)
        time.sleep(seconds)
        return f"{seconds:.1f} s after the start"
    ended, more = chosen.randrange(TRIALS - 3), chosen.uniform(0.0, 0.5)
    if not wait_until(lambda: len(run.ended()) >= ended or run.process.poll() is not None, WHOLE):
        pytest.fail(f"the run does not come so far:\n{run.output}")
    time.sleep(more)
    return f"{more:.1f} s after trial {ended} of {TRIALS}"


@pytest.mark.parametrize(("event", "seed"), cases())
def test_a_run_survives(
    event: str,
    seed: int,
    tmp_path: Path,
    corpus_cache: Path,
    undisturbed: Path,
    record_property: Callable[[str, object], None],
) -> None:
    storage = tmp_path / "storage"
    if event in events.NEED_MOUNT:
        events.small_storage(storage)
    run = GauntletRun(storage / "runs", corpus_cache, tmp_path / "scratch")
    try:
        when = moment(run, random.Random(f"{event} {seed}"))
        faults = events.EVENTS[event](run)
        before, since = run.ended(), time.monotonic()
        moved = wait_until(lambda: run.process.poll() is not None or len(run.ended()) > len(before), PATIENCE)
        seconds = time.monotonic() - since
        status = run.wait(WHOLE) if moved else None
        if status is None:
            faults.append(f"neither an end nor progress within {PATIENCE:.0f} s" if not moved else "it does not end")
        front = (run.folder / "front.parquet").exists()
        if status in (0, 1) and before and not front:
            faults.append("there is no front of what had ended")
        if status is not None and len(run.ended()) < TRIALS:
            run.go_on()
            if run.wait(WHOLE) != 0:
                faults.append(f"the run that goes on ends with {run.process.poll()}")
        if not faults:
            faults = run.faults(before, undisturbed)
        result = "; ".join(faults) or "passed"
        record_property("gauntlet", [result, event, when, f"{seconds:.0f} s", str(status), str(len(before))])
        assert not faults, f"{event}, {when}: {faults}\n{run.output}"
    finally:
        run.kill_all()
        events.remove_storage(storage)
