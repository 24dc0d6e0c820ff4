"""What SIGINT (Ctrl-C) and SIGTERM do to the process that carries out a run: the first ends it in good order.

What is under way decides how: before the trials, and in what a confirmation trains beside them, the first signal raises
KeyboardInterrupt; while trials run it is noted (`deferred`), and whoever runs them looks at `asked`. The second signal
ends the process at once. It can: every ended trial is on the disk, and the process that started this one
(`search.driver.supervisor`) writes the tables and ends Ray's processes.

A handler does nothing else: it runs between two instructions of the main thread, whatever that is writing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit status of a command that was interrupted before there was anything to show, as shells have it for SIGINT."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """Signals are of the process, so this is, too."""

    since: float | None = None
    deferred = False


def install() -> None:
    """Handle signals from now on; in the main thread of a process of its own."""
    _State.since, _State.deferred = None, False
    for number in SIGNALS:
        signal.signal(number, _handle)


def asked() -> bool:
    """Whether a signal asked for the end."""
    return _State.since is not None


def seconds_since() -> float:
    """Seconds since the first signal; 0 before it."""
    return 0.0 if _State.since is None else time.monotonic() - _State.since


def check() -> None:
    """Raise KeyboardInterrupt where a signal was noted."""
    if asked():
        raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """Within it the first signal is noted and does nothing else; one that was noted before raises on entering."""
    check()
    _State.deferred = True
    try:
        yield
    finally:
        _State.deferred = False


def _handle(number: int, frame: FrameType | None) -> None:
    if asked():
        os._exit(INTERRUPTED)
    _State.since = time.monotonic()
    if not _State.deferred:
        raise KeyboardInterrupt
