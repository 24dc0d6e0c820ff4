"""Files of lines that are only appended to: a line is there whole or not at all, and none is lost to a full disk."""

from __future__ import annotations

import os
from os import write
from pathlib import Path


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
    """Append to a file, all or nothing.

    Raises:
        OSError: nothing was appended.
    """
    with path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[write(file.fileno(), rest) :]
            if sync:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def drop_cut_off_line(path: Path) -> None:
    """Remove what follows the last line end of a file of lines, left by a process that died while writing."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
