"""One process at a time writes a run's folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.errors import DropinError
from trainables.storage.run_paths import WRITER_LOCK

PATIENCE = 5.0
"""Seconds that an earlier writer, which was killed, may take to end."""


@contextmanager
def writer_lock(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made if there is none.

    Args:
        folder: of a run, or of a confirmation within it.
        patience: seconds to wait for another process.

    Raises:
        DropinError: another process writes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / WRITER_LOCK)
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise DropinError(
            f"a run has one writer; another process writes {folder}: wait for its end, or give this run another --name"
        ) from error
    try:
        yield
    finally:
        lock.release()
