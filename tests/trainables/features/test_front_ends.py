"""The three front ends: closed forms, what they must not depend on, and numbers that pin them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainables import features
from trainables.features import lfcc, log_mel, store, waveform
from trainables.features.decibels import standardised_decibels

RATE = 16000


def noise(seed: int = 0, samples: int = 64000) -> np.ndarray:
    """Noise whose spectrum falls and whose level moves, as speech's do."""
    rng = np.random.default_rng(seed)
    falling = np.convolve(rng.standard_normal(samples), 0.9 ** np.arange(60), mode="same")
    return (0.05 * falling * (1.1 + np.sin(np.arange(samples) / 3000))).astype(np.float32)


def sine(hertz: float, samples: int = 64000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def power_spectrum(audio: np.ndarray) -> np.ndarray:
    """``[bins, frames]`` of centred, reflected frames under a periodic Hann window, by the book."""
    padded = np.pad(audio.astype(np.float64), 512, mode="reflect")
    frames = np.stack([padded[start : start + 1024] for start in range(0, len(audio) + 1, 512)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    return np.abs(np.fft.rfft(frames * window)).T ** 2


def triangles(corners: np.ndarray) -> np.ndarray:
    """``[bands, bins]``: band b rises from corner b to b + 1 and falls to b + 2."""
    bins = np.arange(513) * RATE / 1024
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    return np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


def standardised_levels(power: np.ndarray) -> np.ndarray:
    levels = np.maximum(10 * np.log10(np.maximum(power / power.max(), 1e-30)), -80)
    return (levels - levels.mean()) / levels.std()


def mel_corners() -> np.ndarray:
    """66 frequencies in Hz, even on the mel scale (O'Shaughnessy 1987) from 0 to 8 kHz."""
    return 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)


# Closed forms


def test_shapes_of_four_seconds() -> None:
    assert log_mel.transform(noise()).shape == (1, 64, 126)
    assert lfcc.transform(noise()).shape == (126, 20)
    assert waveform.transform(noise()).shape == (64000,)


@pytest.mark.parametrize("name", features.NAMES)
@pytest.mark.parametrize("samples", [1600, 32000, 51200, 64000])
def test_shape_and_type_are_known_beforehand(name: str, samples: int) -> None:
    front_end = features.load(name)
    rows = front_end.transform(noise(samples=samples))
    assert rows.shape == front_end.shape(samples)
    assert rows.dtype == front_end.DTYPE


@pytest.mark.parametrize("hertz", [200.0, 440.0, 1000.0, 2500.0, 6500.0])
def test_a_sine_is_loudest_in_its_mel_band(hertz: float) -> None:
    centres = mel_corners()[1:-1]
    loudest = log_mel.transform(sine(hertz))[0, :, 10:-10].mean(axis=1).argmax()
    assert loudest == np.abs(centres - hertz).argmin()


def test_log_mel_is_what_the_definition_says() -> None:
    expected = standardised_levels(triangles(mel_corners()) @ power_spectrum(noise()))
    np.testing.assert_allclose(log_mel.transform(noise())[0], expected, atol=2e-3)


def test_lfcc_is_what_the_definition_says() -> None:
    bands = triangles(np.linspace(0, 8000, 130)) @ power_spectrum(noise())
    cepstra = scipy.fft.dct(standardised_levels(bands), axis=0, norm="ortho")[:20].T * np.sqrt(20 / 128)
    np.testing.assert_allclose(lfcc.transform(noise()), cepstra, atol=2e-3)


def test_decibels_are_cut_80_below_the_maximum() -> None:
    levels = standardised_decibels(torch.tensor([[1.0, 1e-4], [1e-8, 0.0]]))
    decibels = np.array([[0.0, -40.0], [-80.0, -80.0]])
    np.testing.assert_allclose(levels.numpy(), (decibels - decibels.mean()) / decibels.std(), rtol=1e-5)


# Properties


@pytest.mark.parametrize("name", ["log_mel", "lfcc"])
@pytest.mark.parametrize("gain", [1e-4, 0.3, 30.0])
def test_the_level_of_a_recording_changes_nothing(name: str, gain: float) -> None:
    transform = features.load(name).transform
    np.testing.assert_allclose(transform(np.float32(gain) * noise()), transform(noise()), atol=1e-3)


def test_log_mel_has_mean_0_and_variance_1() -> None:
    rows = log_mel.transform(noise(1))
    assert rows.mean() == pytest.approx(0, abs=1e-5)
    assert rows.std() == pytest.approx(1, abs=1e-5)


@given(st.integers(0, 1000))
def test_cepstra_are_of_order_1(seed: int) -> None:
    square = float(np.mean(lfcc.transform(noise(seed, 8000)) ** 2))
    assert 0.3 < square <= 1.0001


@pytest.mark.parametrize("name", features.NAMES)
def test_silence_is_zero(name: str) -> None:
    rows = features.load(name).transform(np.zeros(64000, np.float32))
    assert not rows.any()
    assert not waveform.standardised(np.zeros(100, np.int16)).any()


@given(arrays(np.int16, st.integers(1, 50)))
@example(np.array([-32768, 32767], np.int16))
@example(np.array([32767], np.int16))
@example(np.array([-1, 0], np.int16))
def test_16_bit_audio_loses_nothing(samples: np.ndarray) -> None:
    stored = waveform.transform((samples / 32768).astype(np.float32))
    ratio = np.abs(stored.astype(int)).max() / max(1, np.abs(samples.astype(int)).max())
    power_of_two = max(1, int(ratio))
    assert (stored == samples.astype(np.int64) * power_of_two).all()
    assert power_of_two & (power_of_two - 1) == 0


@given(st.floats(-20, 20), st.integers(0, 100))
def test_any_level_uses_the_integers_well(exponent: float, seed: int) -> None:
    audio = (noise(seed, 2000) * 10**exponent).astype(np.float32)
    stored = waveform.transform(audio).astype(np.float64)
    assert 16383 <= np.abs(stored).max() <= 32768
    scale = (stored @ audio.astype(np.float64)) / (audio.astype(np.float64) @ audio.astype(np.float64))
    assert np.abs(stored - scale * audio).max() < 0.6


def test_a_waveform_has_mean_0_and_variance_1() -> None:
    stored = waveform.transform(noise() + np.float32(0.1))
    fed = waveform.standardised(stored)
    assert fed.dtype == np.float32
    np.testing.assert_allclose(fed, (stored - stored.mean()) / stored.std(), atol=1e-5)


def test_a_constant_waveform_is_zero() -> None:
    assert not waveform.standardised(np.full(63999, 32767, np.int16)).any()


# Pinned numbers


def test_features_are_those_of_this_version_of_the_store() -> None:
    """If this fails and the change is meant: raise ``store.VERSION``, or stores of before are taken for the same."""
    assert store.VERSION == 1
    n = np.arange(64000.0)
    signal = (0.3 * np.sin(n**2 / 1e5) + 0.05 * np.sin(0.37 * n**2) + 0.1 * np.sin(n / 20)).astype(np.float32)
    mel, cepstra, wave = (features.load(name).transform(signal) for name in features.NAMES)
    np.testing.assert_allclose(mel[0, [0, 20, 63], 50], [-0.7558, -0.8785, 0.4735], atol=2e-3)
    np.testing.assert_allclose(cepstra[50, [0, 1, 19]], [-0.0965, 0.8867, -0.1018], atol=2e-3)
    np.testing.assert_allclose(waveform.standardised(wave)[[0, 1000, 63999]], [-0.0047, -0.6471, -1.0621], atol=2e-3)


# Bad input


def test_an_unknown_front_end_is_refused() -> None:
    with pytest.raises(ValueError, match="front end must be one of log_mel, lfcc, waveform; got 'mfcc'"):
        features.load("mfcc")
