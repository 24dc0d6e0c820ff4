"""Linear-frequency cepstra: 20 coefficients a frame of the standardised log energies of 128 linear bands.

The energies are standardised per utterance over bands and frames before the cosine transform: that removes the level
and keeps the long-term spectral shape, which reveals many spoofs and which normalising the mean and variance of
each coefficient would remove. The bands and the transform are torchaudio's.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torchaudio.functional
import torchaudio.transforms

from trainables.audio.reading import SAMPLE_RATE
from trainables.features.decibels import RANGE_DB, standardised_decibels

COEFFICIENTS = 20
BANDS = 128
N_FFT = 1024
HOP = 512
SETTINGS = {"coefficients": COEFFICIENTS, "bands": BANDS, "n_fft": N_FFT, "hop": HOP, "range_db": RANGE_DB}
DTYPE = np.dtype(np.float32)


def shape(samples: int) -> tuple[int, int]:
    """``(frames, coefficients)`` for a segment: a frame at every hop, both ends included."""
    return samples // HOP + 1, COEFFICIENTS


def transform(audio: np.ndarray) -> np.ndarray:
    """The cepstra of a segment.

    Args:
        audio: float32 ``[samples]`` at 16 kHz, more than half an FFT window (512 samples).

    Returns:
        float32 ``[frames, 20]``, coefficient 0 first. The mean square over all is at most 1 and for speech close to it;
        standard deviations of single coefficients fall from about 3 (the first) to 0.2 (the last).
    """
    with torch.inference_mode():
        bands = _linear_bands() @ _spectrogram()(torch.from_numpy(audio))
        return (standardised_decibels(bands).T @ _cosines()).numpy()


@cache
def _spectrogram() -> torchaudio.transforms.Spectrogram:
    return torchaudio.transforms.Spectrogram(N_FFT, hop_length=HOP)


@cache
def _linear_bands() -> torch.Tensor:
    """``[bands, bins]``."""
    bins = N_FFT // 2 + 1
    return torchaudio.functional.linear_fbanks(bins, 0.0, SAMPLE_RATE / 2, BANDS, SAMPLE_RATE).T.contiguous()


@cache
def _cosines() -> torch.Tensor:
    """``[bands, coefficients]``, orthogonal columns.

    By Parseval, orthonormal ones would give 20 coefficients a mean square of up to 128 / 20; the scale makes that 1.
    """
    cosines: torch.Tensor = torchaudio.functional.create_dct(COEFFICIENTS, BANDS, "ortho")
    return cosines * (COEFFICIENTS / BANDS) ** 0.5
