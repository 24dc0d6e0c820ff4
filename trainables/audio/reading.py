"""Reading of audio files as mono float at 16 kHz, and writing of those that are made here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from trainables.audio.channels import mixed
from trainables.audio.decoding import BLOCK_FRAMES, OpenAudio, Unreadable, opened, rate_fault
from trainables.audio.resampling import SAMPLE_RATE as SAMPLE_RATE
from trainables.audio.resampling import Resampler, resampled
from trainables.errors import DropinError, into_cache

CANCELLING = "its channels cancel each other when they are mixed; one of them is taken"


def read_audio(path: Path) -> np.ndarray:
    """Decode a file, average its channels and resample it to 16 kHz.

    Of channels that cancel each other one is taken (see `mixed`). Where a header does not tell how long the file is, it
    is read to its end.

    Args:
        path: WAV, FLAC or any other format of libsndfile; any sampling rate and number of channels.

    Returns:
        float32 ``[samples]``, full scale at -1 and 1, at least one sample.

    Raises:
        DropinError: the file is missing, damaged or empty, or has NaN or infinite samples.
    """
    return read_with_notes(path)[0]


def read_with_notes(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """What `read_audio` gives, and what is to be told about the file."""
    with opened(path) as audio:
        samples, notes = audio.whole(), audio.notes
    mono, cancelling = _mixed(samples)
    return _at_16k(mono, audio.rate, str(path)), (*notes, CANCELLING) if cancelling else notes


class AudioStream:
    """A file as `read_audio` gives it, but in blocks: memory does not grow with its length.

    Attributes:
        notes: what is to be told about the file; complete when its blocks were read.
    """

    def __init__(self, path: Path) -> None:
        """Of this file, which is opened when its blocks are asked for."""
        self._path = path
        self.notes: tuple[str, ...] = ()

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 ``[samples]`` at 16 kHz, full scale at -1 and 1; all together at least one sample.

        Raises:
            DropinError: as `read_audio`, once the damage is come to.
        """
        with opened(self._path) as audio:
            self.notes = audio.notes
            yield from self._resampled(audio)

    def _resampled(self, audio: OpenAudio) -> Iterator[np.ndarray]:
        resampler, length = Resampler(audio.rate), 0
        for samples in audio.blocks():
            mono, cancelling = mixed(samples)
            if cancelling and CANCELLING not in self.notes:
                self.notes += (CANCELLING,)
            _check_finite(mono, str(self._path))
            length += len(mono)
            del samples
            yield resampler.push(mono)
        if not length:
            raise DropinError(f"{self._path} is empty; audio must have samples")
        yield resampler.finish()


def mono_16k(samples: np.ndarray, rate: int, name: str = "the waveform") -> np.ndarray:
    """Average channels, or take one of those that cancel each other, and resample to 16 kHz.

    Args:
        samples: ``[samples]`` or ``[samples, channels]``, full scale at -1 and 1.
        rate: in Hz.
        name: what errors call it.

    Returns:
        float32 ``[samples]``, at least one sample.

    Raises:
        DropinError: no samples, more than two dimensions, NaN or infinity, or a rate that is not between
            `MIN_RATE` and `MAX_RATE`.
    """
    if samples.ndim not in (1, 2):
        raise DropinError(f"{name} has shape {samples.shape}; audio must be [samples] or [samples, channels]")
    if fault := rate_fault(rate):
        raise DropinError(f"{name} {fault}")
    return _at_16k(samples if samples.ndim == 1 or not samples.size else _mixed(samples)[0], rate, name)


def _mixed(samples: np.ndarray) -> tuple[np.ndarray, bool]:
    """The channels of a whole file mixed block by block, as `AudioStream` does."""
    parts = [mixed(samples[at : at + BLOCK_FRAMES]) for at in range(0, len(samples), BLOCK_FRAMES)]
    if not parts:
        return samples[:, :0].reshape(-1), False
    mono = parts[0][0] if len(parts) == 1 else np.concatenate([part for part, _ in parts])
    return mono, any(cancelling for _, cancelling in parts)


def _at_16k(mono: np.ndarray, rate: int, name: str) -> np.ndarray:
    if not mono.size:
        raise DropinError(f"{name} is empty; audio must have samples")
    _check_finite(mono, name)
    return np.ascontiguousarray(resampled(mono, rate), dtype=np.float32)


def _check_finite(mono: np.ndarray, name: str) -> None:
    if not np.isfinite(mono).all():
        raise DropinError(f"{name} has NaN or infinity; audio must be finite")


def check_header(path: Path) -> tuple[str | None, str]:
    """The fault of a file's header, or ``None``, and what is to be told about a file that can be read all the same.

    Fast, because nothing is decoded; damage behind the header is found when the file is read.
    """
    try:
        with opened(path) as audio:
            return "is empty" if audio.frames == 0 else audio.fault(), "; ".join(audio.notes)
    except Unreadable as error:
        return error.reason, ""


def write_flac(path: Path, samples: np.ndarray) -> None:
    """Write a FLAC file of 16 bits at 16 kHz into the cache.

    Args:
        path: a new file in an existing folder.
        samples: ``[samples]``, int16, or float with full scale at -1 and 1.

    Raises:
        DropinError: there is no space for it, or its folder cannot be written.
    """
    # Not by libsndfile itself, which leaves out what does not fit, or says "System error".
    content = io.BytesIO()
    soundfile.write(content, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    with into_cache(path):
        path.write_bytes(content.getbuffer())
