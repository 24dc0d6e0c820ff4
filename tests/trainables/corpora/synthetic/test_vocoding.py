"""Attacks: what is exact about them, and that each does what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.audio.reading import SAMPLE_RATE
from trainables.corpora.synthetic import vocoding
from trainables.corpora.synthetic.voice import FREQUENCIES, N_FFT, Contours, Voice, frames, render, speak

ATTACKS = {**vocoding.KNOWN, **vocoding.UNSEEN}


@pytest.fixture(scope="module")
def said() -> tuple[Contours, Voice]:
    rng = np.random.default_rng(5)
    voice = Voice.draw(rng)
    return speak(voice, 1.5, rng), voice


def test_linear_prediction_finds_an_all_pole_filter() -> None:
    poles = np.array([0.8 * np.exp(0.9j), 0.7 * np.exp(2.0j)])
    expected = np.real(np.poly([*poles, *poles.conj()]))
    spectra = 3 / np.fft.rfft(expected, N_FFT)
    predictor, power = vocoding._linear_prediction(np.stack([spectra, 2 * spectra]), 4)
    np.testing.assert_allclose(predictor, np.tile(expected, (2, 1)), atol=2e-3)
    np.testing.assert_allclose(power, [9, 36], rtol=2e-3)


def test_known_and_unseen_attacks_are_different_ones() -> None:
    assert not set(vocoding.KNOWN) & set(vocoding.UNSEEN)
    assert len(set(ATTACKS.values())) == len(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_change_speech_and_can_be_repeated(said: tuple[Contours, Voice], name: str) -> None:
    contours, voice = said
    before = [getattr(contours, field).copy() for field in ("pitch", "formants")]
    natural = render(contours, voice, np.random.default_rng(1))
    first = ATTACKS[name](contours, voice, np.random.default_rng(1))
    again = ATTACKS[name](contours, voice, np.random.default_rng(1))
    assert first.shape == natural.shape
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert np.corrcoef(first, natural)[0, 1] < 0.99
    # What is said stays: the level of the bands goes up and down with the original.
    bands = [np.log(np.abs(frames(audio))[:, 4:100] + 1e-3).ravel() for audio in (natural, first)]
    assert np.corrcoef(*bands)[0, 1] > 0.5
    assert np.array_equal(before[0], contours.pitch)
    assert np.array_equal(before[1], contours.formants)


def test_phase_damage_keeps_the_balance_of_frequencies(said: tuple[Contours, Voice]) -> None:
    contours, voice = said
    natural = render(vocoding._smooth(contours, 4), voice, np.random.default_rng(1))
    damaged = vocoding.phase_damage(contours, voice, np.random.default_rng(1))
    power = [np.mean(np.abs(frames(audio)[:, 2:150]) ** 2, axis=0) for audio in (natural, damaged)]
    assert np.corrcoef(np.log(power[0]), np.log(power[1]))[0, 1] > 0.95


@pytest.mark.parametrize(("attack", "top"), [(vocoding.griffin_lim, 6500), (vocoding.coarse_mel, 7000)])
def test_mel_attacks_know_nothing_above_their_top(
    said: tuple[Contours, Voice], attack: vocoding.Attack, top: float
) -> None:
    contours, voice = said
    power = [
        np.mean(np.abs(frames(audio)) ** 2, axis=0)
        for audio in (
            render(contours, voice, np.random.default_rng(1)),
            attack(contours, voice, np.random.default_rng(1)),
        )
    ]
    above = top + 300 < FREQUENCIES
    assert FREQUENCIES[-1] == SAMPLE_RATE / 2
    assert power[1][above].sum() < 0.05 * power[0][above].sum()
