"""Whether there is room for another trial, and what a run does while there is none: it hands out no trials, and waits.

A write that fails for want of room costs nothing that has ended: lines of logs are kept until they can be written, and
a trial that could not write its detector is carried out again.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from search.display.progress import Display
from search.running.finish import resume_command
from search.runs.append_only import AppendOnlyFile
from search.settings.options import Settings
from trainables.errors import FULL

logger = logging.getLogger(__name__)
ERRORS = FULL | {errno.EROFS}
"""Errors of a storage that is full, or that may not be written at the moment."""
RESERVE = 16_000_000
"""Bytes that must be free beside the detectors of trials: logs, tables, checkpoints."""
PAUSE = 10.0
"""Seconds without new trials after a write that failed, though there seems to be room: another node may have none."""


class DiskSpace:
    """The room in a run's folder.

    Attributes:
        needed: bytes that must be free before a trial starts.
        files: what writes the logs of the run.
    """

    def __init__(
        self,
        settings: Settings,
        display: Display,
        files: Sequence[AppendOnlyFile],
        detector: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the folder of a run.

        Args:
            settings: of the run.
            display: told when there is no room, and when there is again.
            files: what writes the logs of the run.
            detector: bytes that all trials that run at once may write.
            clock: gives seconds.
        """
        self.needed, self.files = RESERVE + detector, files
        self._settings, self._display, self._clock = settings, display, clock
        self._paused, self._until = False, 0.0

    def failed(self, error: object) -> None:
        """Note that something could not be written."""
        if not self._paused:
            self._pause(str(error))
        self._until = self._clock() + PAUSE

    def flush(self) -> None:
        """Write the lines of logs that could not be written before."""
        for file in self.files:
            if (error := file.flush()) is not None:
                self.failed(error)

    def unwritten(self) -> str | None:
        """What is said in the end of lines that still are not written."""
        left = {file.path.name: file.unwritten for file in self.files if file.unwritten}
        if not left:
            return None
        what = " and ".join(f"{count} lines of {name}" for name, count in left.items())
        return f"{what} could not be written: when there is room, those trials are carried out again by a resumed run"

    def has_room(self) -> bool:
        """Whether a trial may start; what has changed is shown once."""
        lack = lack_of_room(self._settings.run_folder, self.needed)
        if lack is not None and not self._paused:
            self._pause(lack)
        elif lack is None and self._paused and self._clock() >= self._until:
            self._paused = False
            logger.info("there is room again")
            self._display.message("there is room again: trials go on")
        return not self._paused

    def _pause(self, why: str) -> None:
        self._paused = True
        logger.warning("no new trials: %s", why)
        self._display.message(
            f"{why}: no new trials until there is room; nothing that ended is lost. Free some and the run goes on, "
            f"or end it by Ctrl-C and later go on with: {resume_command(self._settings)}"
        )


def lack_of_room(folder: Path, needed: int) -> str | None:
    """Why `needed` bytes cannot be written into a folder; ``None`` where they can."""
    about = os.statvfs(folder)
    if about.f_flag & os.ST_RDONLY:
        return f"{folder} is read-only"
    free = about.f_bavail * about.f_frsize
    return f"{folder} has {free / 1e6:.0f} MB free, {needed / 1e6:.0f} are needed" if free < needed else None


def next_step(error: Exception) -> str:
    """What to do about an error, where it is one of a storage that is full or read-only; else nothing."""
    if not isinstance(error, OSError) or error.errno not in ERRORS:
        return ""
    return ": free some space, or take a --cache and a --storage that have room, and go on with --resume"


def is_storage_error(error: str) -> bool:
    """Whether an error's text is that of a full or read-only storage: what a worker raised comes as a text."""
    return any(os.strerror(code) in error for code in ERRORS)
