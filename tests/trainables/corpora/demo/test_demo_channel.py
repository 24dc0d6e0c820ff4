"""The channel of the demo corpus and its vocoders: closed forms on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.audio.reading import SAMPLE_RATE
from trainables.corpora.demo import channel, vocoders


def sine(frequency: float, amplitude: float = 0.1, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def pulses(f0: float, seconds: float = 1.0) -> np.ndarray:
    """A vowel of a kind: harmonics up to 4 kHz with a resonance at 700 Hz."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = f0 * np.arange(1, 4000 // f0)
    strengths = 0.03 / (1 + ((harmonics - 700) / 200) ** 2)
    return np.asarray(strengths @ np.cos(2 * np.pi * harmonics[:, None] * times))


def rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(audio, dtype=np.float64) ** 2)))


@pytest.mark.parametrize("samples", [0, 1, 2, 319, 320, 16001])
def test_g722_codes_two_samples_in_a_byte(samples: int) -> None:
    audio = 0.1 * np.random.default_rng(0).standard_normal(samples)
    data = channel.encode_g722(audio)
    assert len(data) == (samples + 1) // 2
    decoded = channel.decode_g722(data)
    assert decoded.dtype == np.float32
    assert len(decoded) == 2 * len(data)


@pytest.mark.parametrize(("frequency", "noise"), [(300.0, 0.02), (1000.0, 0.02), (5000.0, 0.15)])
def test_g722_keeps_a_tone(frequency: float, noise: float) -> None:
    audio = sine(frequency)
    delay = 22  # samples of the two quadrature mirror filters
    decoded = channel.decode_g722(channel.encode_g722(audio))[delay:]
    assert rms(decoded - audio[:-delay]) < noise * rms(audio)


def test_int16_rounds_and_clips() -> None:
    audio = np.array([0.0, 0.6 / 32768, -1.0, 1.0, 3.0, -3.0])
    assert channel.to_int16(audio).tolist() == [0, 1, -32768, 32767, 32767, -32768]


@pytest.mark.parametrize(("frequency", "gain"), [(40, 0), (70, 0), (200, 1), (1000, 1), (6500, 1), (7500, 0)])
def test_band_passes_wideband_telephony_only(frequency: float, gain: float) -> None:
    audio = sine(frequency)
    middle = slice(SAMPLE_RATE // 4, 3 * SAMPLE_RATE // 4)
    difference = channel.band(audio)[middle] - gain * audio[middle]
    assert np.abs(difference).max() < 0.02 * np.abs(audio).max()


@given(before=st.integers(0, 4000), after=st.integers(0, 4000), scale=st.floats(1e-3, 10))
@settings(max_examples=30, deadline=None)
def test_trim_finds_a_sound_in_silence(before: int, after: int, scale: float) -> None:
    sound = sine(500, scale, 0.5)
    hiss = scale * 1e-4 * np.random.default_rng(before).standard_normal(before + len(sound) + after)
    hiss[before : before + len(sound)] += sound
    frame = SAMPLE_RATE // 100
    assert abs(len(channel.trim(hiss)) - len(sound)) <= 2 * frame


def test_trim_keeps_pauses_and_fades_the_ends() -> None:
    pause = np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
    tone = np.full(SAMPLE_RATE // 2, 0.1, dtype=np.float32)
    trimmed = channel.trim(np.concatenate([pause, tone, pause, tone, pause]))
    assert len(trimmed) == 3 * SAMPLE_RATE // 2
    assert trimmed[0] == trimmed[-1] == 0
    assert trimmed[SAMPLE_RATE // 4] == np.float32(0.1)


@pytest.mark.parametrize("samples", [0, 100, 16000])
def test_trim_refuses_silence(samples: int) -> None:
    with pytest.raises(ValueError, match=f"got {samples} samples of silence"):
        channel.trim(np.zeros(samples, dtype=np.float32))


def test_limit_leaves_a_tone_alone() -> None:
    audio = sine(440)
    np.testing.assert_allclose(channel.limit(audio), audio / rms(audio), rtol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1))
@settings(max_examples=20, deadline=None)
def test_level_sets_the_level_and_bounds_the_crest(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    audio = scale * rng.standard_normal(8000) * rng.uniform(0, 1, 8000) ** 4  # crest far above that of speech
    highest = 10 ** (channel.CREST_DB / 20)
    assert np.abs(channel.limit(audio)).max() <= highest * (1 + 1e-9)
    levelled = channel.level(audio, -20.0)
    assert rms(levelled) == pytest.approx(0.1, rel=1e-5)
    np.testing.assert_allclose(channel.level(7 * audio, -20.0), levelled, atol=1e-6)


def test_transmit_hides_level_silence_and_peaks() -> None:
    quiet = pulses(120)
    loud = np.concatenate([np.zeros(5000), 3.7 * quiet, np.zeros(3000)])
    first, second = channel.transmit(quiet), channel.transmit(loud)
    assert abs(len(first) - len(second)) <= 4 * SAMPLE_RATE // 100
    assert 20 * np.log10(rms(first)) == pytest.approx(channel.LEVEL_DB, abs=0.3)
    assert rms(second) == pytest.approx(rms(first), rel=0.02)
    assert rms(channel.transmit(quiet, gain_db=6.0)) == pytest.approx(2 * rms(first), rel=0.02)


def test_prediction_recovers_one_pole_exactly() -> None:
    # The response of 1 / (1 - 0.9 z^-1) to a unit pulse: its autocorrelation is 0.9^k / (1 - 0.81).
    frame = 0.9 ** np.arange(400)
    gain, poles = vocoders.prediction(frame[None], order=3)
    np.testing.assert_allclose(poles[0], [1, -0.9, 0, 0], atol=1e-4)
    assert gain[0] == pytest.approx(np.sqrt(1 / 400), rel=1e-4)


def test_prediction_of_silence_is_silence() -> None:
    gain, poles = vocoders.prediction(np.zeros((1, 320)), order=18)
    assert gain[0] < 1e-5
    np.testing.assert_allclose(poles[0], [1, *[0] * 18], atol=1e-9)


@given(f0=st.floats(80, 350))
@settings(max_examples=30, deadline=None)
def test_pitch_track_of_pulses(f0: float) -> None:
    track = vocoders.pitch_track(pulses(f0), 80, 200)
    assert len(track) == 200
    assert np.median(track[10:180]) == pytest.approx(f0, rel=0.03)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    assert (vocoders.pitch_track(noise, 80, 200) > 0).mean() < 0.05
    assert not vocoders.pitch_track(np.zeros(SAMPLE_RATE), 80, 200).any()


@pytest.mark.parametrize("f0", [90.0, 210.0])
def test_lpc_keeps_pitch_level_and_resonance(f0: float) -> None:
    audio = pulses(f0)
    copy = vocoders.lpc(audio, seed=0)
    assert copy.shape == audio.shape
    assert rms(copy) == pytest.approx(rms(audio), rel=0.3)
    assert np.median(vocoders.pitch_track(copy, 80, 200)[20:180]) == pytest.approx(f0, rel=0.03)
    peak = SAMPLE_RATE / 1024 * np.abs(np.fft.rfft(copy[4000:5024] * np.hanning(1024))).argmax()
    assert abs(peak - 700) < f0


def test_lpc_noise_depends_on_the_seed() -> None:
    noise = np.random.default_rng(0).standard_normal(8000)
    first = vocoders.lpc(noise, seed=1)
    np.testing.assert_array_equal(vocoders.lpc(noise, seed=1), first)
    assert rms(vocoders.lpc(noise, seed=2) - first) > 0.5 * rms(first)


def test_griffin_lim_keeps_a_tone_and_is_seeded() -> None:
    audio = sine(1000, seconds=0.5)
    before = torch.random.get_rng_state()
    copy = vocoders.griffin_lim(audio, mels=80, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's random numbers were used up"
    assert copy.shape == audio.shape
    spectrum = np.abs(np.fft.rfft(copy * np.hanning(len(copy))))
    assert spectrum.argmax() / 0.5 == pytest.approx(1000, abs=30)
    np.testing.assert_array_equal(vocoders.griffin_lim(audio, mels=80, seed=3), copy)
    assert rms(vocoders.griffin_lim(audio, mels=80, seed=4) - copy) > 0


def test_fewer_mel_bands_lose_more() -> None:
    audio = pulses(150)

    def lost(mels: int) -> float:
        spectra = [
            np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(one, 1024)[::256] * np.hanning(1024)))
            for one in (audio, vocoders.griffin_lim(audio, mels=mels, seed=0))
        ]
        return rms(spectra[0] - spectra[1]) / rms(spectra[0])

    assert lost(80) < lost(20)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_world_moves_the_pitch(factor: float) -> None:
    pytest.importorskip("pyworld")
    audio = pulses(160)
    copy = vocoders.world(audio, pitch=factor)
    assert np.median(vocoders.pitch_track(copy, 80, 200)[20:170]) == pytest.approx(160 * factor, rel=0.03)


def test_world_coding_smooths_the_envelope() -> None:
    pytest.importorskip("pyworld")
    audio = pulses(160)
    kept, coded = vocoders.world(audio), vocoders.world(audio, coded=8)
    assert kept.dtype == coded.dtype == np.float32
    assert rms(coded - kept) > 0.02 * rms(kept)
