"""Simulated speech against what its parameters promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.audio.reading import SAMPLE_RATE
from trainables.corpora.synthetic.voice import (
    FREQUENCIES,
    HOP,
    Contours,
    Voice,
    formant_response,
    frames,
    overlap_add,
    render,
    speak,
)

VOICE = Voice(pitch=125, scale=1.0, jitter=0.0, shimmer=0.0, open_quotient=0.6, breath=0.0, rate=4.5)


def vowel(total: int = 100, pitch: float = 125.0) -> Contours:
    """A steady a."""
    still, nothing = np.ones(total), np.zeros(total)
    formants = np.tile([730.0, 1090.0, 2440.0], (total, 1))
    return Contours(pitch * still, still, nothing, nothing, 4000 * still, formants, np.full((total, 3), 60.0))


def test_formants_are_where_they_should_be() -> None:
    gain = np.abs(formant_response(vowel(1), VOICE))[0]
    assert gain[0] == pytest.approx(1)
    peaks = FREQUENCIES[1:-1][(gain[1:-1] > gain[:-2]) & (gain[1:-1] > gain[2:])]
    for formant in (730, 1090, 2440, 3500, 4500, 5500, 6500):
        assert np.abs(peaks - formant).min() <= FREQUENCIES[1], formant


def test_one_resonance_has_its_bandwidth() -> None:
    contours = dataclasses.replace(vowel(1), formants=np.array([[1000.0]]), bandwidths=np.array([[200.0]]))
    ratio = formant_response(contours, VOICE) / formant_response(
        dataclasses.replace(contours, formants=np.zeros((1, 0)), bandwidths=np.zeros((1, 0))), VOICE
    )
    gain = np.interp([900, 1000, 1100], FREQUENCIES, np.abs(ratio[0]))
    np.testing.assert_allclose(gain[[0, 2]] / gain[1], np.sqrt(0.5), atol=0.06)


@given(st.integers(6, 40), st.integers(0, 2**32 - 1))
def test_frames_and_overlap_add_undo_each_other(count: int, seed: int) -> None:
    audio = np.random.default_rng(seed).standard_normal(count * HOP)
    spectra = frames(audio)
    assert spectra.shape == (count, len(FREQUENCIES))
    # The two hops at the ends have fewer windows over them.
    np.testing.assert_allclose(overlap_add(spectra)[HOP:-HOP], audio[HOP:-HOP], atol=1e-12)


def test_a_voice_without_irregularities_repeats_itself_every_period() -> None:
    audio = render(vowel(), VOICE, np.random.default_rng(0))
    assert audio.shape == (100 * HOP,)
    period = SAMPLE_RATE // 125
    middle = audio[20 * HOP : 80 * HOP]
    error = middle[period:] - middle[:-period]
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean(middle**2))


@pytest.mark.parametrize("irregularity", [{"jitter": 0.02}, {"shimmer": 0.1}, {"breath": 0.3}])
def test_each_irregularity_breaks_the_repetition(irregularity: dict[str, float]) -> None:
    voice = dataclasses.replace(VOICE, **irregularity)
    audio = render(vowel(), voice, np.random.default_rng(0))[20 * HOP : 80 * HOP]
    period = SAMPLE_RATE // 125
    error = audio[period:] - audio[:-period]
    assert np.sqrt(np.mean(error**2)) > 0.08 * np.sqrt(np.mean(audio**2))


@pytest.mark.parametrize("seed", range(5))
def test_speech_has_the_length_and_the_ranges_of_speech(seed: int) -> None:
    rng = np.random.default_rng(seed)
    voice = Voice.draw(rng)
    contours = speak(voice, 2.0, rng)
    assert all(len(getattr(contours, field.name)) == 250 for field in dataclasses.fields(contours))
    assert 0.5 * voice.pitch < contours.pitch.min() < contours.pitch.mean() < 1.6 * voice.pitch
    assert contours.voicing.min() < 0.3 < 0.6 < contours.voicing.max()
    assert contours.formants.min() > 150
    assert contours.formants.max() <= 3800
    audio = render(contours, voice, rng)
    assert audio.shape == (2 * SAMPLE_RATE,)
    assert np.isfinite(audio).all()


def test_the_same_generator_says_the_same() -> None:
    def print_text(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        voice = Voice.draw(rng)
        return render(speak(voice, 1.0, rng), voice, rng)

    assert np.array_equal(print_text(3), print_text(3))
    assert not np.array_equal(print_text(3), print_text(4))
