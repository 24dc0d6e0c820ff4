"""Audio files as the rest of the project sees them: mono, 16 kHz, float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional

SAMPLE_RATE = 16000


def read_audio(path: Path) -> np.ndarray:
    """Decode a file, average its channels and resample it to 16 kHz.

    Args:
        path: WAV, FLAC or whatever else libsndfile decodes; any sample rate, any channel count.

    Returns:
        float32 ``[samples]``, full scale at -1 and 1, at least one sample.

    Raises:
        ValueError: the file is missing, damaged or empty, or holds NaN or infinity.
    """
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"{path} {_reason(path, error)}; audio must be a file that libsndfile decodes") from error
    if not len(channels):
        raise ValueError(f"{path} is empty; audio must have samples")
    mono = channels.mean(axis=1)
    if not np.isfinite(mono).all():
        raise ValueError(f"{path} holds NaN or infinity; audio must be finite")
    if rate != SAMPLE_RATE:
        mono = torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
    return np.ascontiguousarray(mono, dtype=np.float32)


def header_fault(path: Path) -> str | None:
    """What is wrong with a file as far as its header tells, or ``None``.

    Fast, because nothing is decoded; damage further on shows when the file is read.
    """
    try:
        return None if soundfile.info(path).frames else "is empty"
    except (soundfile.SoundFileError, OSError) as error:
        return _reason(path, error)


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
