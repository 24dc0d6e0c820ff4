"""Copy synthesis by vocoders: analysis of a human prompt into parameters, and synthesis from these only.

Each function takes and returns float audio ``[samples]`` at 16 kHz. The random numbers of `griffin_lim` and `lpc`
depend on their seed only.
"""

from __future__ import annotations

import numpy as np
import torch
import torchaudio.functional

from trainables.audio.reading import SAMPLE_RATE

LOWEST_F0, HIGHEST_F0 = 70.0, 400.0
_FRAME_MS = 5.0


def world(audio: np.ndarray, *, pitch: float = 1.0, coded: int | None = None) -> np.ndarray:
    """Analysis and synthesis by WORLD (Morise, Yokomori and Ozawa, IEICE Transactions E99-D, 2016).

    Args:
        audio: ``[samples]``.
        pitch: factor on the fundamental frequency.
        coded: number of mel-cepstral coefficients that code the spectral envelope, or ``None``.

    Raises:
        ImportError: pyworld is not installed.
    """
    import pyworld  # no wheels for some platforms, on which the corpus has fewer attacks

    signal = np.ascontiguousarray(audio, dtype=np.float64)
    coarse, times = pyworld.dio(signal, SAMPLE_RATE, f0_floor=LOWEST_F0, f0_ceil=HIGHEST_F0, frame_period=_FRAME_MS)
    f0 = pyworld.stonemask(signal, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(signal, f0, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(signal, f0, times, SAMPLE_RATE)
    if coded is not None:
        size = 2 * (envelope.shape[1] - 1)
        envelope = pyworld.decode_spectral_envelope(
            pyworld.code_spectral_envelope(envelope, SAMPLE_RATE, coded), SAMPLE_RATE, size
        )
        aperiodicity = pyworld.decode_aperiodicity(
            pyworld.code_aperiodicity(aperiodicity, SAMPLE_RATE), SAMPLE_RATE, size
        )
    return pyworld.synthesize(f0 * pitch, envelope, aperiodicity, SAMPLE_RATE, _FRAME_MS).astype(np.float32)


def griffin_lim(audio: np.ndarray, *, mels: int, iterations: int = 32, seed: int) -> np.ndarray:
    """Mel power spectrogram, inverted by least squares and Griffin and Lim's phase estimate (IEEE TASSP 32(2), 1984).

    Frames of 64 ms every 16 ms. The fewer mel bands, the smoother the inverted spectrum.
    """
    size, hop = 1024, 256
    window = torch.hann_window(size)
    signal = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    spectrum = torch.stft(signal, size, hop, window=window, return_complex=True).abs() ** 2
    bank = torchaudio.functional.melscale_fbanks(size // 2 + 1, 0.0, SAMPLE_RATE / 2, mels, SAMPLE_RATE)
    inverse = torch.linalg.pinv(bank.T)
    power = (inverse @ (bank.T @ spectrum)).clamp(min=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        result = torchaudio.functional.griffinlim(
            power,
            window,
            n_fft=size,
            hop_length=hop,
            win_length=size,
            power=2.0,
            n_iter=iterations,
            momentum=0.99,
            length=len(audio),
            rand_init=True,
        )
    return result.numpy()


def lpc(audio: np.ndarray, *, order: int = 18, seed: int) -> np.ndarray:
    """Linear prediction vocoder: pulses or noise through the all-pole envelope of each frame (Atal and Hanauer, 1971).

    Frames of 20 ms every 5 ms, autocorrelation method; pulses at the pitch of `pitch_track` where a frame is voiced.
    """
    hop, size = SAMPLE_RATE // 200, SAMPLE_RATE // 50
    padded = np.pad(np.asarray(audio, dtype=np.float64), (size // 2, size))
    window = np.hanning(size + 1)[:-1]
    frames = _frames(padded, size, hop) * window
    gain, poles = prediction(frames, order)
    gain *= np.sqrt(size / (window**2).sum())  # compensates the window
    excitation = _excitation(pitch_track(padded, hop, len(frames)), hop, len(padded), seed)
    # Each frame's filter acts on its own windowed stretch of excitation, in the frequency domain: overlap-add.
    transform = 1024
    response = gain[:, None] / np.fft.rfft(poles, transform)
    driven = np.fft.irfft(np.fft.rfft(_frames(excitation, size, hop) * window, transform) * response, transform)
    result = np.zeros(len(padded) + transform)
    for number, frame in enumerate(driven):
        result[number * hop : number * hop + transform] += frame
    return (result[size // 2 :][: len(audio)] * hop / window.sum()).astype(np.float32)


def prediction(frames: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear prediction of each frame by the autocorrelation method.

    Args:
        frames: ``[n, size]``, windowed.
        order: number of poles.

    Returns:
        The root mean square of the prediction error over a frame ``[n]``, and the prediction error filter
        ``[n, order + 1]``, whose first coefficient is 1.
    """
    transform = 2 ** int(np.ceil(np.log2(2 * frames.shape[1])))
    power = np.abs(np.fft.rfft(frames, transform)) ** 2
    correlation = np.fft.irfft(power)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + 1e-6) + 1e-9
    lags = np.abs(np.arange(order)[:, None] - np.arange(order))
    weights = np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[..., 0]
    error = correlation[:, 0] - (weights * correlation[:, 1:]).sum(axis=1)
    poles = np.concatenate([np.ones((len(frames), 1)), -weights], axis=1)
    return np.sqrt(np.maximum(error, 0) / frames.shape[1]), poles


def pitch_track(audio: np.ndarray, hop: int, count: int) -> np.ndarray:
    """Fundamental frequency of `count` frames in Hz, 0 where unvoiced, by the highest peak of the autocorrelation.

    Frames of 40 ms; voiced is a peak above 0.45 in a frame no more than 40 dB below the loudest.
    """
    size = SAMPLE_RATE // 25
    frames = _frames(np.pad(audio, (0, size)), size, hop)[:count]
    frames = frames - frames.mean(axis=1, keepdims=True)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size)) ** 2)[:, :size]
    energy = correlation[:, 0]
    shortest, longest = int(SAMPLE_RATE / HIGHEST_F0), int(SAMPLE_RATE / LOWEST_F0)
    # The overlap of a frame with itself shrinks with the lag; undo that, so that low voices are not called unvoiced.
    lags = np.arange(shortest, longest)
    peaks = correlation[:, lags] / (1 - lags / size) / np.maximum(energy, 1e-12)[:, None]
    # A lag of two periods correlates as well as one: prefer shorter lags.
    lag = lags[(peaks * (1 - 0.2 * lags / size)).argmax(axis=1)]
    voiced = (peaks.max(axis=1) > 0.45) & (energy > energy.max() * 1e-4)
    return np.where(voiced, SAMPLE_RATE / lag, 0.0)


def _excitation(f0: np.ndarray, hop: int, length: int, seed: int) -> np.ndarray:
    """Unit-variance excitation: pulses one period apart where voiced, noise elsewhere."""
    result = np.random.default_rng(seed).standard_normal(length)
    per_sample = np.repeat(f0, hop)[:length]
    per_sample = np.pad(per_sample, (0, length - len(per_sample)))
    phase = np.cumsum(per_sample / SAMPLE_RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) > 0
    voiced = per_sample > 0
    result[voiced] = 0
    result[pulses & voiced] = np.sqrt(SAMPLE_RATE / per_sample[pulses & voiced])
    return result


def _frames(audio: np.ndarray, size: int, hop: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(audio, size)[::hop]
