"""Attacks on simulated speech: one function for each, with typical artefacts of a kind of vocoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torchaudio.functional
from scipy.ndimage import gaussian_filter1d

from trainables.audio.reading import SAMPLE_RATE
from trainables.corpora.synthetic.voice import HOP, N_FFT, Contours, Voice, frames, overlap_add, render

Attack = Callable[[Contours, Voice, np.random.Generator], np.ndarray]


def buzz(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Perfectly regular pulses without breath noise, weak fricatives: the oldest marks of synthetic voices."""
    smooth = _smooth(contours, 4)
    return render(dataclasses.replace(smooth, frication=0.5 * smooth.frication), _regular(voice, 0.0), rng)


def lpc(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Linear prediction of order 10 (autocorrelation method), the residual replaced by pulses or noise of its power."""
    spectra = frames(render(contours, voice, rng))
    predictor, power = _linear_prediction(spectra, 10)
    envelope = np.sqrt(power)[:, None] / np.abs(np.fft.rfft(predictor, N_FFT))
    pitch = contours.pitch.repeat(HOP)
    pulses = np.diff(np.floor(np.cumsum(pitch / SAMPLE_RATE)), prepend=0.0) * np.sqrt(SAMPLE_RATE / pitch)
    voiced = (contours.voicing > 0.2).repeat(HOP)
    return overlap_add(frames(np.where(voiced, pulses, rng.standard_normal(len(pulses)))) * envelope)


def over_smoothed(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Trajectories averaged over 100 ms with wide formants, as statistical parametric synthesis draws them."""
    smooth = _smooth(contours, 6)
    return render(dataclasses.replace(smooth, bandwidths=2 * smooth.bandwidths), _regular(voice, 0.3), rng)


def griffin_lim(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Smoothed trajectories to a 40-band mel spectrogram up to 6.5 kHz, turned back by 4 rounds of Griffin-Lim."""
    return _through_mel(render(_smooth(contours, 4), voice, rng), bands=40, top=6500, rounds=4)


def phase_damage(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Smoothed trajectories with wrong phases, by up to half a turn, more so the higher the frequency."""
    spectra = frames(render(_smooth(contours, 4), voice, rng))
    error = rng.uniform(-np.pi, np.pi, spectra.shape) * np.linspace(0.5, 1, spectra.shape[1])
    return overlap_add(spectra * np.exp(1j * error))


def held_frames(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Trajectories that stand still for 80 ms and then jump, as at a very low frame rate."""
    index = np.arange(len(contours.pitch)) // 10 * 10
    held = {field.name: getattr(contours, field.name)[index] for field in dataclasses.fields(contours)}
    return render(Contours(**held), _regular(voice, 0.3), rng)


def coarse_mel(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Smoothed trajectories to a 32-band mel spectrogram up to 7 kHz, turned back by 8 rounds of Griffin-Lim."""
    return _through_mel(render(_smooth(contours, 4), voice, rng), bands=32, top=7000, rounds=8)


KNOWN: Mapping[str, Attack] = {"A01": buzz, "A02": lpc, "A03": over_smoothed, "A04": griffin_lim}
"""Attacks of train and dev."""
UNSEEN: Mapping[str, Attack] = {"A05": phase_damage, "A06": held_frames, "A07": coarse_mel}
"""Attacks of eval."""


def _smooth(contours: Contours, width: float) -> Contours:
    """Trajectories averaged over frames of 8 ms, as acoustic models predict them."""
    names = [field.name for field in dataclasses.fields(contours)]
    return Contours(**{name: gaussian_filter1d(getattr(contours, name), width, axis=0) for name in names})


def _regular(voice: Voice, remainder: float) -> Voice:
    return dataclasses.replace(
        voice,
        jitter=remainder * voice.jitter,
        shimmer=remainder * voice.shimmer,
        breath=remainder * voice.breath,
    )


def _linear_prediction(spectra: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Levinson and Durbin's recursion on all frames at once: predictors ``[t, order + 1]``, residual power ``[t]``."""
    correlation = np.fft.irfft(np.abs(spectra) ** 2, N_FFT)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0001 + 1e-12
    predictor = np.zeros_like(correlation)
    predictor[:, 0] = 1
    power = correlation[:, 0].copy()
    for step in range(1, order + 1):
        reflection = -(predictor[:, :step] * correlation[:, step:0:-1]).sum(1) / power
        predictor[:, 1 : step + 1] += reflection[:, None] * predictor[:, step - 1 :: -1][:, :step]
        power *= 1 - reflection**2
    return predictor, power


def _through_mel(audio: np.ndarray, bands: int, top: float, rounds: int) -> np.ndarray:
    n_fft, hop = 2048, 512
    window = torch.hann_window(n_fft)
    signal = torch.from_numpy(audio.astype(np.float32))
    magnitude = torch.stft(signal, n_fft, hop, window=window, return_complex=True).abs()
    bank = torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, 0, top, bands, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    again = torch.linalg.pinv(bank.T) @ (bank.T @ magnitude)
    out = torchaudio.functional.griffinlim(
        again.clamp(min=1e-8), window, n_fft, hop, n_fft, 1.0, rounds, 0.99, len(audio), False
    )
    return out.double().numpy()
