"""Simulated speech: a glottal source with the irregularities of a real one, through moving formants.

It sounds like babble, not like language. Sources: the source-filter model of Fant, "Acoustic theory of speech
production", 1960; the glottal pulse of Klatt and Klatt, "Analysis, synthesis, and perception of voice quality
variations among female and male talkers", JASA 87, 1990; vowel formants after Peterson and Barney, "Control methods
used in a study of the vowels", JASA 24, 1952.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from trainables.audio.reading import SAMPLE_RATE

HOP = 128
WINDOW = 3 * HOP
N_FFT = 512
FREQUENCIES = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
"""Bin frequencies in Hz of the frames that `frames` gives."""
# Hz: F1, F2, F3 of a man's i, I, E, ae, a, O, U, u, A, er.
_VOWELS = np.array(
    [
        (270, 2290, 3010),
        (390, 1990, 2550),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (730, 1090, 2440),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (640, 1190, 2390),
        (490, 1350, 1690),
    ]
)
_HIGHER_FORMANTS = np.array([3500, 4500, 5500, 6500])
_FRAMES_A_SECOND = SAMPLE_RATE / HOP
_HANN = np.hanning(WINDOW + 1)[:-1]


@dataclass(frozen=True)
class Voice:
    """One speaker.

    Attributes:
        pitch: mean pitch in Hz.
        scale: factor on all formants, above 1 for a vocal tract shorter than a man's.
        jitter: standard deviation of the length of a glottal cycle, relative to the mean.
        shimmer: the same of its amplitude.
        open_quotient: part of a cycle in which the glottis is open.
        breath: amplitude of the noise that comes with the pulses.
        rate: syllables a second.
    """

    pitch: float
    scale: float
    jitter: float
    shimmer: float
    open_quotient: float
    breath: float
    rate: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Voice:
        """A speaker within the range of adults."""
        pitch = float(np.exp(rng.uniform(np.log(90), np.log(240))))
        # High voices come with short vocal tracts, loosely.
        scale = 0.92 + 0.2 * np.log(pitch / 90) / np.log(240 / 90) + rng.uniform(-0.05, 0.05)
        return cls(
            pitch=pitch,
            scale=float(scale),
            jitter=float(rng.uniform(0.006, 0.018)),
            shimmer=float(rng.uniform(0.04, 0.12)),
            open_quotient=float(rng.uniform(0.5, 0.75)),
            breath=float(rng.uniform(0.2, 0.4)),
            rate=float(rng.uniform(3.5, 5.5)),
        )


@dataclass(frozen=True)
class Contours:
    """What is said, with a value every 8 ms.

    Attributes:
        pitch: Hz ``[t]``.
        voicing: amplitude of the glottal source ``[t]``.
        frication: amplitude of the noise of fricatives and bursts ``[t]``.
        breath: amplitude of breathing in ``[t]``.
        centre: middle of the band of the frication, Hz ``[t]``.
        formants: Hz ``[t, 3]``.
        bandwidths: of the formants, Hz ``[t, 3]``.
    """

    pitch: np.ndarray
    voicing: np.ndarray
    frication: np.ndarray
    breath: np.ndarray
    centre: np.ndarray
    formants: np.ndarray
    bandwidths: np.ndarray


def speak(voice: Voice, seconds: float, rng: np.random.Generator) -> Contours:
    """Say random syllables, with pauses for breath, for about this long."""
    total = round(seconds * _FRAMES_A_SECOND)
    rows = []  # voicing, frication, breath, centre, F1, F2, F3
    length = 0
    while length < total:
        for count, row in _syllable(voice, rng):
            rows.append(np.tile(row, (count, 1)))
            length += count
    track = np.concatenate(rows)[:total]
    # Articulators are slow, voicing and frication switch faster.
    voicing, frication, breath = gaussian_filter1d(track[:, :3], 1.2, axis=0).T
    centre = gaussian_filter1d(track[:, 3], 2.0)
    formants = gaussian_filter1d(track[:, 4:], rng.uniform(2.5, 4.0), axis=0)
    formants = formants * (1 + 0.015 * _wander(total, 2, rng)[:, None])
    formants = np.minimum(formants * voice.scale, 3800)
    bandwidths = 50 + 0.035 * formants * (1 + 0.2 * _wander(total, 3, rng)[:, None])
    declination = np.linspace(1.12, 0.88, total)
    pitch = voice.pitch * declination * np.exp(0.09 * _wander(total, 25, rng) + 0.012 * _wander(total, 4, rng))
    return Contours(pitch, voicing, frication, breath, centre, formants, np.maximum(bandwidths, 40))


def render(contours: Contours, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """The sound of contours in a voice: float ``[128 * t]``, of arbitrary level."""
    pulses, openness = _glottis(contours, voice, rng)
    samples = len(pulses)
    voicing, breath, frication = (
        _to_samples(track, samples) for track in (contours.voicing, contours.breath, contours.frication)
    )
    aspiration = rng.standard_normal(samples) * (0.3 + 0.7 * openness) * voice.breath
    source = voicing * (pulses + aspiration) + breath * rng.standard_normal(samples)
    throat = frames(source) * formant_response(contours, voice)
    bump = np.exp(-0.5 * ((FREQUENCIES - contours.centre[:, None]) / 900) ** 2)
    return overlap_add(throat + frames(frication * rng.standard_normal(samples)) * bump)


def formant_response(contours: Contours, voice: Voice) -> np.ndarray:
    """Complex response ``[t, bins]`` of all resonances in series, each with gain 1 at 0 Hz.

    Three of them move, the higher ones stay where the length of the vocal tract puts them.
    """
    still = _HIGHER_FORMANTS * voice.scale
    higher = _resonances(still[still < 7500][None], np.full((1, (still < 7500).sum()), 250.0))
    return higher * _resonances(contours.formants, contours.bandwidths)


def frames(audio: np.ndarray) -> np.ndarray:
    """Spectra ``[t, bins]`` of ``[128 * t]`` samples: Hann frames of 24 ms every 8 ms. `overlap_add` undoes it."""
    padded = np.pad(audio, HOP)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.fft.rfft(windows * _HANN, N_FFT)


def overlap_add(spectra: np.ndarray) -> np.ndarray:
    """Samples ``[128 * t]`` of the spectra ``[t, bins]``."""
    pieces = np.fft.irfft(spectra, N_FFT).reshape(len(spectra), N_FFT // HOP, HOP)
    out = np.zeros((len(spectra) + N_FFT // HOP - 1, HOP))
    for part in range(N_FFT // HOP):
        out[part : part + len(spectra)] += pieces[:, part]
    # Hann windows at a third of their length sum to 1.5.
    return out[1 : len(spectra) + 1].ravel() / 1.5


def _resonances(frequencies: np.ndarray, bandwidths: np.ndarray) -> np.ndarray:
    """Cascade of Klatt (JASA 67, 1980): ``[t, resonances]`` in Hz to a complex response ``[t, bins]``."""
    delay = np.exp(-2j * np.pi * FREQUENCIES / SAMPLE_RATE)
    response = np.ones((len(frequencies), len(FREQUENCIES)), dtype=complex)
    for frequency, bandwidth in zip(frequencies.T, bandwidths.T, strict=True):
        radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
        b = (2 * radius * np.cos(2 * np.pi * frequency / SAMPLE_RATE))[:, None]
        c = -(radius**2)[:, None]
        response *= (1 - b - c) / (1 - b * delay - c * delay**2)
    return response


def _syllable(voice: Voice, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    def span(low: float, high: float) -> int:
        return max(2, round(rng.uniform(low, high) * _FRAMES_A_SECOND * 4.5 / voice.rate))

    vowel = _VOWELS[rng.integers(len(_VOWELS))] * rng.normal(1, 0.03, 3)
    other = _VOWELS[rng.integers(len(_VOWELS))]
    onset = 0.6 * vowel + 0.4 * other
    centre = rng.uniform(2500, 6000)
    parts = []

    def part(count: int, voicing: float, frication: float, breath: float, formants: np.ndarray) -> None:
        parts.append((count, np.array([voicing, frication, breath, centre, *formants])))

    if rng.random() < 0.12:
        part(span(0.1, 0.3), 0, 0, 0, onset)
        part(span(0.08, 0.2), 0, 0, rng.uniform(0.002, 0.006), onset)
    kind = rng.integers(4)
    if kind == 0:  # plosive: closure and burst
        part(span(0.04, 0.09), 0, 0, 0, onset)
        part(2, 0, rng.uniform(0.05, 0.2), 0.01, onset)
    elif kind == 1:  # fricative, voiced or not
        part(span(0.06, 0.14), rng.choice([0.0, 0.25]), rng.uniform(0.04, 0.15), 0, onset)
    elif kind == 2:  # nasal or glide
        part(span(0.04, 0.09), 0.35, 0, 0, np.array([280, *onset[1:]]))
    stress = rng.uniform(0.6, 1.1)
    part(span(0.04, 0.1), stress, 0, 0, vowel)
    part(span(0.04, 0.12), 0.8 * stress, 0, 0, 0.75 * vowel + 0.25 * other)
    return parts


def _glottis(contours: Contours, voice: Voice, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the glottal flow, and how open the glottis is (0 to 1), sample by sample."""
    samples = len(contours.pitch) * HOP
    phase = np.cumsum(_to_samples(contours.pitch, samples) / SAMPLE_RATE)
    starts = np.interp(np.arange(1, int(phase[-1]) + 1), phase, np.arange(samples))
    periods = np.diff(starts, prepend=0.0, append=samples)
    periods *= np.clip(1 + voice.jitter * rng.standard_normal(len(periods)), 0.7, 1.3)
    ends = np.cumsum(periods)
    ends *= samples / ends[-1]
    loudness = 1 + voice.shimmer * rng.standard_normal(len(periods))
    time = np.arange(samples)
    cycle = np.minimum(np.searchsorted(ends, time, side="right"), len(ends) - 1)
    lengths = np.diff(ends, prepend=0.0)
    x = (time - (ends - lengths)[cycle]) / lengths[cycle] / voice.open_quotient
    is_open = (x >= 0) & (x < 1)
    x = np.where(is_open, x, 0)
    return loudness[cycle] * (2 * x - 3 * x**2), 6.75 * x**2 * (1 - x)


def _to_samples(track: np.ndarray, samples: int) -> np.ndarray:
    return np.interp(np.arange(samples), (np.arange(len(track)) + 0.5) * HOP, track)


def _wander(total: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance that moves within `width` frames."""
    margin = int(4 * width) + 1
    noise = gaussian_filter1d(rng.standard_normal(total + 2 * margin), width)[margin : margin + total]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * width)
