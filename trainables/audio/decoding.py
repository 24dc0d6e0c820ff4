"""Audio files, opened: what libsndfile decodes, and those whose header does not tell how long they are."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from trainables import git_lfs
from trainables.audio.wav_header import data_chunk
from trainables.errors import DropinError

MAX_SAMPLES = 2**29
"""Samples of a file, all channels together: an hour and a half of stereo at 48 kHz, 2 GB when decoded."""
MIN_RATE, MAX_RATE = 1000, 384_000
"""Sampling rate in Hz."""
BLOCK_FRAMES = 2**20
UNKNOWN_FRAMES = 2**63 - 1
"""What libsndfile says of a FLAC file whose header does not tell its length, as one that was written into a pipe."""
WAV_FORMATS = ("WAV", "WAVEX")
AT_ONCE = 2**24
"""Samples up to which a file is decoded in one go: 64 MB. Between blocks libsndfile seeks, which MP3 does not like."""


class Unreadable(DropinError):
    """An audio file that cannot be opened or decoded.

    Attributes:
        reason: why, without the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        """Name the file and say why."""
        self.reason = reason
        cure = "audio must be a file that libsndfile decodes: convert it to WAV or FLAC"
        super().__init__(f"{path} {reason}; {cure}")


class OpenAudio:
    """An audio file whose header was read.

    Attributes:
        path: the file.
        rate: in Hz.
        channels: how many.
        frames: samples of a channel by the header; ``None`` where it does not tell.
        notes: what is to be told about the file, which is read all the same.
    """

    def __init__(self, path: Path, file: soundfile.SoundFile, notes: tuple[str, ...]) -> None:
        """Take a file that libsndfile has opened."""
        self.path, self._file, self.notes = path, file, notes
        self._total = 0  # samples that blocks have had
        self.rate: int = file.samplerate
        self.channels: int = file.channels
        self.frames: int | None = None if file.format == "FLAC" and file.frames == UNKNOWN_FRAMES else file.frames

    def fault(self) -> str | None:
        """An implausible size or rate in the header, for which memory would be taken before decoding, or ``None``."""
        if self.frames is not None and self.frames * self.channels > MAX_SAMPLES:
            claimed = f"claims {self.frames} times {self.channels} samples"
            return f"{claimed}; audio must have at most {MAX_SAMPLES} in all"
        return rate_fault(self.rate)

    def whole(self) -> np.ndarray:
        """All samples, float32 ``[samples, channels]``; perhaps none.

        Raises:
            DropinError: the header is implausible, or the file is damaged.
        """
        if self.frames is None or not self._file.seekable():
            blocks = list(self.blocks())
            return np.concatenate(blocks) if blocks else np.zeros((0, self.channels), np.float32)
        self._check()
        with _errors_named(self.path):
            found: np.ndarray = self._file.read(-1, dtype="float32", always_2d=True)
        return found

    def blocks(self) -> Iterator[np.ndarray]:
        """The samples in blocks of `BLOCK_FRAMES`, the last of fewer; float32 ``[samples, channels]``.

        Raises:
            DropinError: the header is implausible, the file is damaged, or has more than `MAX_SAMPLES`.
        """
        self._check()
        return map(self._counted, self._decoded())  # holds no block while the caller works on it

    def _counted(self, block: np.ndarray) -> np.ndarray:
        self._total += block.size
        if self._total > MAX_SAMPLES:
            raise DropinError(f"{self.path} has more than {MAX_SAMPLES} samples; cut it into several files")
        return block

    def _check(self) -> None:
        if fault := self.fault():
            raise DropinError(f"{self.path} {fault}")

    def _decoded(self) -> Iterator[np.ndarray]:
        if self.frames is None:
            yield from self._flac_blocks()
        elif self._file.seekable() and self.frames * self.channels <= AT_ONCE:
            if self.frames <= BLOCK_FRAMES:
                yield self.whole()
                return
            samples = self.whole()
            yield from (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))
        else:
            yield from self._file_blocks()

    def _file_blocks(self) -> Iterator[np.ndarray]:
        seekable, left = self._file.seekable(), self.frames or 0
        while left > 0 or not seekable:
            with _errors_named(self.path):
                block: np.ndarray = self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
            if len(block):
                yield block
            if len(block) < BLOCK_FRAMES:
                return
            left -= len(block)

    def _flac_blocks(self) -> Iterator[np.ndarray]:
        """By FFmpeg: libsndfile cannot tell where such a file ends."""
        import av  # not needed for other files

        parts: list[np.ndarray] = []
        with open(self.path, "rb") as stream, av.open(stream, format="flac") as container:
            try:
                for frame in container.decode(audio=0):
                    parts.append(_samples(frame.to_ndarray(), frame.format.is_planar, frame.layout.nb_channels))
                    if sum(map(len, parts)) >= BLOCK_FRAMES:
                        together = np.concatenate(parts)
                        yield together[:BLOCK_FRAMES]
                        parts = [together[BLOCK_FRAMES:]]
            except (av.FFmpegError, ValueError) as error:
                raise Unreadable(self.path, f"cannot be read ({error})") from error
        if parts and (rest := np.concatenate(parts)).size:
            yield rest


@contextlib.contextmanager
def opened(path: Path) -> Iterator[OpenAudio]:
    """Open an audio file: its header is read, and mended where it disagrees with the file.

    Raises:
        Unreadable: it is missing, its folder may not be entered, or libsndfile does not know its format.
    """
    with contextlib.ExitStack() as stack:
        with _errors_named(path):
            # As bytes: a file's name may be no text.
            file = stack.enter_context(soundfile.SoundFile(os.fsencode(path)))
            notes: list[str] = []
            if file.format in WAV_FORMATS:
                stream: BinaryIO = stack.enter_context(open(path, "rb"))
                chunk = data_chunk(stream)
                if chunk is not None and chunk.note is not None:
                    notes.append(chunk.note)
                    if chunk.claimed < chunk.present:
                        mended: io.RawIOBase = chunk.repaired(stream)
                        file = stack.enter_context(soundfile.SoundFile(mended))
        audio = OpenAudio(path, file, tuple(notes))
        if audio.frames is None:
            audio.notes += ("its header does not tell its length; it is read to its end",)
        yield audio


def rate_fault(rate: int) -> str | None:
    """The fault of a sampling rate in Hz, or ``None``."""
    if not MIN_RATE <= rate <= MAX_RATE:
        return f"has a sampling rate of {rate} Hz; it must be from {MIN_RATE} to {MAX_RATE}"
    return None


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be opened or decoded."""
    # libsndfile says "System error" for a missing file and "Format not recognised" for an empty one.
    try:
        if not path.is_file():
            return "is missing"
        if not path.stat().st_size:
            return "is empty"
    except OSError as cause:  # a name that is too long, a folder without permission
        return f"cannot be read ({cause.strerror})"
    except ValueError as cause:  # a name with a zero in it
        return f"cannot be read ({cause})"
    if git_lfs.is_pointer(path):
        return f"cannot be read ({git_lfs.CURE})"
    return f"cannot be read ({str(error).rpartition(': ')[2].strip()})"


@contextlib.contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """Within it, errors of the decoder become `Unreadable`, which names the file."""
    try:
        yield
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        raise Unreadable(path, _reason(path, error)) from error


def _samples(decoded: np.ndarray, planar: bool, channels: int) -> np.ndarray:
    """Integers of a frame as float32 ``[samples, channels]``, full scale at -1 and 1."""
    rows = decoded.T if planar else decoded.reshape(-1, channels)
    scaled: np.ndarray = (rows / 2.0 ** (8 * decoded.itemsize - 1)).astype(np.float32)
    return scaled
