"""Ends the driver where it could wait for ever: Ray's processes are lost, or nobody is there who started it.

When Ray's own processes die, the calls of its client do not return; where the control process (GCS) dies, Ray ends the
driver after a minute, without a word. So a thread looks at them and ends the process at once. What has to be done then,
`search.driver.supervisor` does: it says what happened, and starts Ray and the run anew or writes the front.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from search.cluster import ray_compat
from search.running import interruption

logger = logging.getLogger(__name__)
PERIOD = 1.0
"""Seconds between two looks. Looks are counted rather than seconds: a machine that slept has not looked meanwhile."""
LOOKS_WITHOUT_ANSWER = 45
"""So many looks in a row a cluster may leave without an answer."""
LOOKS_AT_LOST = 2
"""So many looks in a row must find a process lost: where Ray is being ended, one may find it half done."""
GRACE = 30.0
"""Seconds that an end in good order may take; Tune itself takes up to 10."""
RAY_LOST, ORPHANED = 75, 76
"""Exit statuses of a driver whose Ray is lost, and of one whose supervisor is."""


class Watchdog:
    """Looks after a driver.

    Attributes:
        leave: ends the process, after the reason was logged.
    """

    def __init__(self, tell: Callable[[str], None], leave: Callable[[int], None] = os._exit) -> None:
        """Start the thread.

        Args:
            tell: told what is lost, before the process ends.
            leave: ends the process with a status.
        """
        self._tell, self.leave = tell, leave
        self._parent = os.getppid()
        self._lost: Callable[[], str | None] | None = None
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @contextmanager
    def ray(self, address: str | None) -> Iterator[None]:
        """Within it look at Ray as well: its processes here, or whether the cluster answers."""
        self._lost = ray_compat.lost_process if address is None else _ClusterLooks().lost
        try:
            yield
        finally:
            self._lost = None

    def _run(self) -> None:
        stopped, found = threading.Event(), 0
        while not stopped.wait(PERIOD):
            if os.getppid() != self._parent:
                self.leave(ORPHANED)
                return
            lost = self._find_lost()
            found = found + 1 if lost else 0
            if lost and found >= LOOKS_AT_LOST:
                logger.error("%s: this process ends", lost)
                self._tell(lost)
                self.leave(RAY_LOST)
                return

    def _find_lost(self) -> str | None:
        look = self._lost
        if look is None:
            return None
        return look() or ("Ray does not end" if interruption.seconds_since() > GRACE else None)


class _ClusterLooks:
    """Asks a cluster for this machine's node, in a thread: the question itself may never return."""

    def __init__(self) -> None:
        self._unanswered, self._alive = 0, True
        self._thread: threading.Thread | None = None

    def lost(self) -> str | None:
        """What is lost, if anything."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._ask, name="watchdog-ask", daemon=True)
            self._thread.start()
        self._unanswered += 1
        if not self._alive:
            return "this machine's node has left the cluster"
        return "the cluster does not answer" if self._unanswered > LOOKS_WITHOUT_ANSWER else None

    def _ask(self) -> None:
        try:
            self._alive = ray_compat.own_node_alive()
        except Exception as error:  # whatever it is, it is no answer, and the looks are counted
            logger.debug("the cluster gave no answer: %s", error)
            return
        self._unanswered = 0
