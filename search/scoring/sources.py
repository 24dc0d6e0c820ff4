"""Files as they are named, made ready to be read: pipes are spooled, folders and devices are refused."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from search.scoring.window_extraction import Source

MOST_SPOOLED = 2**31
"""Bytes of a pipe: two gigabytes."""
BLOCK_BYTES = 2**20
OF_THIS_PROCESS = ("/dev/", "/proc/self/")
"""Where files lie that another process has others for, such as its standard input."""


class Sources:
    """Makes sources of names. A context manager: what was spooled is removed at its end."""

    def __enter__(self) -> Sources:
        """Begin."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._spooled = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was spooled."""
        if self._folder is not None:
            self._folder.cleanup()

    def source(self, file: str | os.PathLike[str]) -> Source:
        """The source of a file; a pipe, or a file that only this process has, is copied into a temporary file."""
        name = os.fspath(file)
        path = Path(name)
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return Source(name, path)  # reading it says what is wrong
        mode = found.st_mode
        own = name.startswith(OF_THIS_PROCESS)
        if stat.S_ISREG(mode) and not own:
            return Source(name, path, size=found.st_size)
        if stat.S_ISDIR(mode):
            return Source(name, path, f"{name} is a folder: name the files in it")
        if stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and own):
            return self._spool(name)
        return Source(name, path, f"{name} is no file and no pipe; audio must come from one of these")

    def release(self, source: Source) -> None:
        """Remove what was spooled for a source; it is not needed any more."""
        if source.path != Path(source.name):
            source.path.unlink(missing_ok=True)

    def _spool(self, name: str) -> Source:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dropin-pipes-")
        self._spooled += 1
        path = Path(self._folder.name, str(self._spooled))
        try:
            with open(name, "rb") as pipe, open(path, "wb") as file:
                fits = _copy(pipe, file)
        except OSError as error:
            path.unlink(missing_ok=True)
            return Source(name, Path(name), f"{name} cannot be read ({error.strerror})")
        if fits:
            return Source(name, path, size=path.stat().st_size)
        path.unlink()
        return Source(name, Path(name), f"{name} must have at most {MOST_SPOOLED} bytes: cut it into several files")


def _copy(pipe: BinaryIO, file: BinaryIO) -> bool:
    """Copy a pipe to its end; ``False`` where that is more than `MOST_SPOOLED`."""
    left = MOST_SPOOLED
    while block := pipe.read(BLOCK_BYTES):
        left -= len(block)
        if left < 0:
            return False
        file.write(block)
    return True
