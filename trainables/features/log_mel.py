"""Log-mel spectrograms: 64 mel bands in decibels, standardised per utterance."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torchaudio.transforms

from trainables.audio.reading import SAMPLE_RATE
from trainables.features.decibels import RANGE_DB, standardised_decibels

BANDS = 64
N_FFT = 1024
HOP = 512
SETTINGS = {"bands": BANDS, "n_fft": N_FFT, "hop": HOP, "range_db": RANGE_DB}
DTYPE = np.dtype(np.float32)


def shape(samples: int) -> tuple[int, int, int]:
    """``(1, bands, frames)`` for a segment: one channel, as an image has; a frame at every hop, both ends included."""
    return 1, BANDS, samples // HOP + 1


def transform(audio: np.ndarray) -> np.ndarray:
    """The log-mel spectrogram of a segment.

    Args:
        audio: float32 ``[samples]`` at 16 kHz, more than half an FFT window (512 samples).

    Returns:
        float32 ``[1, 64, frames]``, decibels of mean 0 and variance 1; bands from low to high.
    """
    with torch.inference_mode():
        return standardised_decibels(_mel_spectrogram()(torch.from_numpy(audio)))[None].numpy()


@cache
def _mel_spectrogram() -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=BANDS)
