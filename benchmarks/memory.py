"""How much memory processes hold, shared pages counted once: Linux's proportional set sizes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType


def resident(pids: Iterable[int], mapping: str = "") -> float:
    """MiB of memory of these processes that count towards them (Pss); of one mapped file, if it is named."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/{'smaps' if mapping else 'smaps_rollup'}").read_text().splitlines()
        except OSError:
            continue  # it has ended
        inside = not mapping
        for line in lines:
            if mapping and "-" in line.split(" ", 1)[0]:
                inside = line.endswith(mapping)
            elif inside and line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def family(pid: int) -> list[int]:
    """A process and all that descend from it, as far as they still run."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += family(int(child))
    return found


class PeakMemory:
    """Within it, looks once a second at what this process and its children hold.

    Attributes:
        mib: the most that was seen.
    """

    def __enter__(self) -> PeakMemory:
        """Begin to look."""
        self.mib, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.mib = max(self.mib, resident(family(os.getpid())))
