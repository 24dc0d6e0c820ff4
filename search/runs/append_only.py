"""Files of lines that are only appended to: a line is in the file whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import io
import os
from pathlib import Path

BLOCK = 1 << 16


def append_whole(path: Path, data: bytes, *, synced: bool = True) -> None:
    """Append whole lines to a file, which is made if there is none; what was cut off at its end before is removed.

    Args:
        path: the file, which nobody else writes.
        data: lines, each with its end.
        synced: whether they are on the disk when this returns.

    Raises:
        OSError: they could not be written, since the disk is full for example; the file is as it was.
    """
    with path.open("a+b", buffering=0) as file:
        _repair(file)
        size = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            if synced:
                os.fsync(file.fileno())
        except BaseException:  # a signal's KeyboardInterrupt among them
            file.truncate(size)
            raise


def drop_cut_off_line(path: Path) -> None:
    """Remove what follows the last line end of a file of lines, left by a process that died while writing."""
    if path.exists():
        with path.open("r+b", buffering=0) as file:
            _repair(file)


def _repair(file: io.FileIO) -> None:
    """Truncate a file behind its last line end."""
    end = size = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - (1 if end == size else BLOCK))  # as a rule the last byte is a line end
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        file.truncate(end)
