"""Files of lines that are only appended to: a line is there whole or not at all, and none is lost to a full disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

BLOCK = 1 << 16


class AppendOnlyFile:
    """A file of lines that one process writes.

    Lines that cannot be written (the disk is full, or read-only at the moment) are kept, in their order, until they
    can.

    Attributes:
        path: the file; made by the first line that is written.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        """Open a file; what follows its last line end, left by a process that died while writing, is removed.

        Args:
            path: the file.
            sync: whether lines are on the disk, and not only with the operating system, when they count as written.
        """
        self.path, self._sync = path, sync
        self._unwritten: list[bytes] = []
        drop_cut_off_line(path)

    def append(self, line: str) -> OSError | None:
        """Write a line after all that could not be written before; see `flush`."""
        self._unwritten.append(line.encode() + b"\n")
        return self.flush()

    def flush(self) -> OSError | None:
        """Write what could not be written before; why it cannot be written now, or ``None`` when all is written."""
        if not self._unwritten:
            return None
        try:
            append_whole(self.path, b"".join(self._unwritten), sync=self._sync)
        except OSError as error:
            return error
        self._unwritten.clear()
        return None

    @property
    def unwritten(self) -> int:
        """How many lines are not written."""
        return len(self._unwritten)


def append_whole(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Append whole lines to a file, which is made if there is none; what was cut off at its end before is removed.

    Args:
        path: the file, which nobody else writes.
        data: lines, each with its end.
        sync: whether they are on the disk when this returns.

    Raises:
        OSError: they could not be written, since the disk is full for example; the file is as it was.
    """
    with path.open("a+b", buffering=0) as file:
        size = _whole(file)
        file.truncate(size)
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            if sync:
                os.fsync(file.fileno())
        except BaseException:  # a signal's KeyboardInterrupt among them
            file.truncate(size)
            raise


def drop_cut_off_line(path: Path) -> None:
    """Remove what follows the last line end of a file of lines, left by a process that died while writing."""
    if not path.exists():
        return
    with path.open("rb", buffering=0) as file:
        size = _whole(file)
    if size < path.stat().st_size:
        os.truncate(path, size)


def _whole(file: io.FileIO) -> int:
    """Bytes of a file up to its last line end."""
    end = size = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - (1 if end == size else BLOCK))  # as a rule the last byte is a line end
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
