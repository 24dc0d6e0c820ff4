"""One process at a time writes a run's copy in object storage: an object beside the copy says who, and that it lives.

Object storage has no locks, so the writer rewrites the object every few seconds. Whoever wants to write watches it: an
object that changes has a living writer, one that does not change for `LEASE` seconds has none any more. Contents are
compared and not times, since the clocks of two machines differ.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

from trainables.errors import DropinError
from trainables.storage import bucket_files

logger = logging.getLogger(__name__)
LEASE = 45.0
"""Seconds without a change after which a writer counts as dead."""
REFRESH = 10.0
"""Seconds between two changes by a writer, at least."""
POLL = 2.0
SETTLE = 1.0
"""Seconds after which the object is read back: of two that begin at once, the later one to write it has it."""


class BucketLease:
    """The right to write the copy of a run.

    Attributes:
        uri: of the object.
        lost: whether another process has taken it over.
    """

    def __init__(self, uri: str, tell: Callable[[str], None] = logger.info) -> None:
        """For the copy at `uri`; `tell` is told when somebody else has to be waited for."""
        self.uri, self._copy, self._tell = f"{uri}.writer", uri, tell
        self.lost = False
        self._id, self._count, self._refreshed = uuid.uuid4().hex, 0, 0.0

    def acquire(self) -> None:
        """Become the writer; after a writer that died elsewhere this takes `LEASE` seconds.

        Raises:
            DropinError: another process writes the copy.
            OSError: the storage cannot be reached.
        """
        self._wait_for_others()
        self._write()
        time.sleep(SETTLE)
        if (found := self._read()) is not None and found.get("id") != self._id:
            raise self._refusal(found)

    def refresh(self) -> None:
        """Show that this process lives, if that is due; note where another one has taken over.

        Raises:
            OSError: the storage cannot be reached.
        """
        if self.lost or time.monotonic() - self._refreshed < REFRESH:
            return
        found = self._read()
        if found is not None and found.get("id") != self._id:
            self.lost = True
            logger.error("another process writes %s now: %s", self._copy, found)
            return
        self._write()

    def release(self) -> None:
        """Let others write; nothing where another process has taken over."""
        try:
            if not self.lost and (self._read() or {}).get("id") == self._id:
                bucket_files.delete_file(self.uri)
        except OSError as error:  # it then ends by itself
            logger.warning("cannot remove %s: %s", self.uri, error)

    def _wait_for_others(self) -> None:
        first, told, until = self._read(), False, time.monotonic() + LEASE
        while first is not None and not _has_died_here(first):
            if not told:
                self._tell(f"another process wrote {self._copy} ({_describe(first)}): waiting to see whether it lives")
                told = True
            time.sleep(POLL)
            found = self._read()
            if found is None or time.monotonic() > until:
                return
            if found != first:
                raise self._refusal(found)

    def _refusal(self, found: dict[str, object]) -> DropinError:
        return DropinError(
            f"a run has one writer; {_describe(found)} writes {self._copy}: wait for its end, or choose another --name"
        )

    def _read(self) -> dict[str, object] | None:
        try:
            found = json.loads(bucket_files.read_bytes(self.uri))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        self._count += 1
        about = {
            "id": self._id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "pids": _pids(),
            "count": self._count,
        }
        bucket_files.write_bytes(json.dumps(about).encode(), self.uri)
        self._refreshed = time.monotonic()


def _pids() -> str:
    """What tells apart the process numbers of machines and containers: the boot of the machine and the namespace."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not (boot.exists() and namespace.exists()):
        return socket.gethostname()
    return f"{boot.read_text().strip()} {namespace.stat().st_ino}"


def _has_died_here(found: dict[str, object]) -> bool:
    """Whether a writer was a process of this machine that is no more; it need not be waited for."""
    pid = found.get("pid")
    return found.get("pids") == _pids() and isinstance(pid, int) and not psutil.pid_exists(pid)


def _describe(found: dict[str, object]) -> str:
    return f"process {found.get('pid', '?')} on {found.get('host', '?')}"
