"""WAV files whose header does not know how long they are: what it claims, and how many bytes of samples there are."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

MOST_CHUNKS = 1000
LEAST_TAIL = 4096
"""Bytes behind the samples that are no chunk, from which on they are taken for samples; shorter ones may be a tag."""
UNKNOWN = 0x7FFFF000
"""Sizes from here on are those that programs write which do not know the length, as into a pipe."""


@dataclass(frozen=True)
class DataChunk:
    """The samples of a RIFF WAV file.

    Attributes:
        begin: offset of the first byte of the samples.
        claimed: bytes of samples by the header.
        present: bytes of samples that are there.
    """

    begin: int
    claimed: int
    present: int

    @property
    def note(self) -> str | None:
        """What is to be told about it, if the header disagrees with the file."""
        if self.claimed == self.present or self.claimed >= UNKNOWN:
            return None
        return f"its header claims {self.claimed} bytes of samples, and it has {self.present}; all of these are read"

    def repaired(self, file: BinaryIO) -> io.RawIOBase:
        """The file as it would be with a header that tells its length."""
        file.seek(0)
        sizes = {4: self.begin + self.present - 8, self.begin - 4: self.present}
        return _Repaired(file, {at: struct.pack("<I", min(size, 0xFFFFFFFF)) for at, size in sizes.items()})


def data_chunk(file: BinaryIO) -> DataChunk | None:
    """Find the samples of a WAV file, or ``None`` where it is no RIFF WAV file or has none.

    What follows the samples by the header's size must be other chunks. Where it is not, and the size is 0 or what
    follows is longer than a tag, the samples go on to the end of the file.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at = 12
    for _ in range(MOST_CHUNKS):
        name, size = _chunk(file, at)
        if name is None:
            return None
        if name == b"data":
            begin = at + 8
            rest = end - begin
            if size >= rest or _are_chunks(file, begin + size + size % 2, end):
                return DataChunk(begin, size, min(size, rest))
            broken = size == 0 or rest - size > LEAST_TAIL
            return DataChunk(begin, size, rest if broken else size)
        at += 8 + size + size % 2
    return None


def _chunk(file: BinaryIO, at: int) -> tuple[bytes | None, int]:
    """Name and size of the chunk at an offset; no name where there is none."""
    file.seek(at)
    head = file.read(8)
    if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
        return None, 0
    return head[:4], int.from_bytes(head[4:], "little")


def _are_chunks(file: BinaryIO, at: int, end: int) -> bool:
    """Whether nothing but chunks lies between an offset and the end of the file."""
    for _ in range(MOST_CHUNKS):
        if end - at < 8:
            return True
        name, size = _chunk(file, at)
        if name is None or at + 8 + size > end:
            return False
        at += 8 + size + size % 2
    return False


class _Repaired(io.RawIOBase):
    """A file some of whose bytes are replaced."""

    def __init__(self, file: BinaryIO, replaced: dict[int, bytes]) -> None:
        self._file, self._replaced = file, replaced

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: object) -> int:
        begin = self._file.tell()
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        content = bytearray(self._file.read(len(view)))
        for at, new in self._replaced.items():
            for number, byte in enumerate(new, at - begin):
                if 0 <= number < len(content):
                    content[number] = byte
        view[: len(content)] = content
        return len(content)
