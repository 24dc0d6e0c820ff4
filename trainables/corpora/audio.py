"""Audio files as the rest of the project sees them: mono, 16 kHz, float."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional

from trainables.errors import DropinError

SAMPLE_RATE = 16000
MOST_SAMPLES = 2**29
"""Of a file, all channels together: an hour and a half of stereo at 48 kHz, 2 GB when decoded."""
LEAST_RATE, MOST_RATE = 1000, 384_000
"""In Hz."""
MOST_PHASES = 2**22
"""Taps of all phases of a resampling filter, 32 MB of them; all usual rates need far fewer."""


def read_audio(path: Path) -> np.ndarray:
    """Decode a file, average its channels and resample it to 16 kHz.

    Args:
        path: WAV, FLAC or whatever else libsndfile decodes; any sample rate, any channel count.

    Returns:
        float32 ``[samples]``, full scale at -1 and 1, at least one sample.

    Raises:
        DropinError: the file is missing, damaged or empty, or holds NaN or infinity.
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
            `LEAST_RATE` and `MOST_RATE`.
    """
    if samples.ndim not in (1, 2):
        raise DropinError(f"{name} has shape {samples.shape}; audio must be [samples] or [samples, channels]")
    if fault := _rate_fault(rate):
        raise DropinError(f"{name} {fault}")
    if not samples.size:
        raise DropinError(f"{name} is empty; audio must have samples")
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise DropinError(f"{name} holds NaN or infinity; audio must be finite")
    if rate != SAMPLE_RATE:
        mono = _resampled(mono, rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def header_fault(path: Path) -> str | None:
    """What is wrong with a file as far as its header tells, or ``None``.

    Fast, because nothing is decoded; damage further on shows when the file is read.
    """
    try:
        with soundfile.SoundFile(path) as file:
            return _size_fault(file) if file.frames else "is empty"
    except (soundfile.SoundFileError, OSError) as error:
        return _reason(path, error)


def _size_fault(file: soundfile.SoundFile) -> str | None:
    """What a file says of itself that nobody should believe: memory is taken for it before it is decoded."""
    if file.frames * file.channels > MOST_SAMPLES:
        return f"claims {file.frames} times {file.channels} samples; audio must have at most {MOST_SAMPLES} in all"
    return _rate_fault(file.samplerate)


def _rate_fault(rate: int) -> str | None:
    if not LEAST_RATE <= rate <= MOST_RATE:
        return f"has a rate of {rate} Hz; it must be from {LEAST_RATE} to {MOST_RATE}"
    return None


def _resampled(mono: np.ndarray, rate: int) -> np.ndarray:
    common = math.gcd(rate, SAMPLE_RATE)
    if rate * SAMPLE_RATE // common**2 <= MOST_PHASES:
        resampled: np.ndarray = torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
        return resampled
    # Rates that nobody records at: torchaudio would lay out every phase of its filter, gigabytes of them.
    from scipy.signal import resample_poly  # which scoring an ordinary file does not wait for

    odd: np.ndarray = resample_poly(mono, SAMPLE_RATE // common, rate // common)
    return odd


def _reason(path: Path, error: Exception) -> str:
    # libsndfile says "System error" for a missing file and "Format not recognised" for an empty one.
    try:
        if not path.is_file():
            return "is missing"
        if not path.stat().st_size:
            return "is empty"
    except OSError as place:  # a name that is too long, a folder that may not be read
        return f"cannot be read ({place.strerror})"
    return f"cannot be read ({str(error).rpartition(': ')[2].strip()})"
