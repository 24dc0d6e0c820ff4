"""Reading of audio files as mono float at 16 kHz, and writing of those that are made here."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional

from trainables.errors import DropinError, into_cache

SAMPLE_RATE = 16000
MAX_SAMPLES = 2**29
"""Samples of a file, all channels together: an hour and a half of stereo at 48 kHz, 2 GB when decoded."""
MIN_RATE, MAX_RATE = 1000, 384_000
"""Sampling rate in Hz."""
MAX_FILTER_TAPS = 2**22
"""Taps of all phases of a resampling filter, 32 MB; all usual rates need far fewer."""


def read_audio(path: Path) -> np.ndarray:
    """Decode a file, average its channels and resample it to 16 kHz.

    Args:
        path: WAV, FLAC or any other format of libsndfile; any sampling rate and number of channels.

    Returns:
        float32 ``[samples]``, full scale at -1 and 1, at least one sample.

    Raises:
        DropinError: the file is missing, damaged or empty, or has NaN or infinite samples.
    """
    try:
        with soundfile.SoundFile(path) as file:
            fault = _size_fault(file)
            channels, rate = file.read(0 if fault else -1, dtype="float32", always_2d=True), file.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise DropinError(f"{path} {_reason(path, error)}; audio must be a file that libsndfile decodes") from error
    if fault:
        raise DropinError(f"{path} {fault}")
    return mono_16k(channels, rate, str(path))


def mono_16k(samples: np.ndarray, rate: int, name: str = "the waveform") -> np.ndarray:
    """Average channels and resample to 16 kHz.

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
    if fault := _rate_fault(rate):
        raise DropinError(f"{name} {fault}")
    if not samples.size:
        raise DropinError(f"{name} is empty; audio must have samples")
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise DropinError(f"{name} has NaN or infinity; audio must be finite")
    if rate != SAMPLE_RATE:
        mono = _resampled(mono, rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


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


def header_fault(path: Path) -> str | None:
    """The fault of a file's header, or ``None``.

    Fast, because nothing is decoded; damage behind the header is found when the file is read.
    """
    try:
        with soundfile.SoundFile(path) as file:
            return _size_fault(file) if file.frames else "is empty"
    except (soundfile.SoundFileError, OSError) as error:
        return _reason(path, error)


def _size_fault(file: soundfile.SoundFile) -> str | None:
    """An implausible size or rate in the header, by which memory would be allocated before decoding, or ``None``."""
    if file.frames * file.channels > MAX_SAMPLES:
        return f"claims {file.frames} times {file.channels} samples; audio must have at most {MAX_SAMPLES} in all"
    return _rate_fault(file.samplerate)


def _rate_fault(rate: int) -> str | None:
    if not MIN_RATE <= rate <= MAX_RATE:
        return f"has a sampling rate of {rate} Hz; it must be from {MIN_RATE} to {MAX_RATE}"
    return None


def _resampled(mono: np.ndarray, rate: int) -> np.ndarray:
    common = math.gcd(rate, SAMPLE_RATE)
    if rate * SAMPLE_RATE // common**2 <= MAX_FILTER_TAPS:
        resampled: np.ndarray = torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
        return resampled
    # Unusual rates: torchaudio would allocate all phases of its filter, gigabytes of them.
    from scipy.signal import resample_poly  # a slow import that usual rates do not need

    unusual: np.ndarray = resample_poly(mono, SAMPLE_RATE // common, rate // common)
    return unusual


def _reason(path: Path, error: Exception) -> str:
    # libsndfile says "System error" for a missing file and "Format not recognised" for an empty one.
    try:
        if not path.is_file():
            return "is missing"
        if not path.stat().st_size:
            return "is empty"
    except OSError as cause:  # a name that is too long, a folder without permission
        return f"cannot be read ({cause.strerror})"
    return f"cannot be read ({str(error).rpartition(': ')[2].strip()})"
