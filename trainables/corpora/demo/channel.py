"""The channel of all utterances, bona fide and spoof: band-pass, trimming, level normalisation, G.722 coding.

Artefacts of the channel must not reveal the class. The recorded prompts are G.722 files and are coded once more, so a
spoof is coded twice as well: first in `record`, like the prompts, then in `transmit`.
"""

from __future__ import annotations

import av
import numpy as np

from trainables.audio.reading import SAMPLE_RATE
from trainables.errors import DropinError

LEVEL_DB = -26.0
"""Root mean square after trimming, relative to full scale; the usual speech level of ITU-T P.56 measurements."""
SILENCE_DB = -35.0
"""Level of silent frames at the ends, relative to the loudest frame."""
LOW_HZ, HIGH_HZ = (80.0, 160.0), (6800.0, 7200.0)
"""Stop and pass frequency of the lower edge, pass and stop frequency of the upper edge of the band."""
CREST_DB = 11.0
"""Highest peak, relative to the root mean square."""
_FRAME = SAMPLE_RATE // 100
_FADE = SAMPLE_RATE // 200
_HALF = SAMPLE_RATE // 200  # half of the 10 ms that the limiter looks at
_CODED_FRAME = 160  # bytes of 20 ms: one byte of G.722 at 64 kbit/s holds two samples


def decode_g722(data: bytes) -> np.ndarray:
    """Decode raw G.722 at 64 kbit/s (ITU-T G.722, mode 1).

    Returns:
        float32 ``[2 * len(data)]``, 16 kHz, full scale at -1 and 1.
    """
    decoder = av.CodecContext.create("g722", "r")
    decoder.sample_rate = SAMPLE_RATE
    decoder.layout = "mono"
    packets = [av.Packet(data[start : start + _CODED_FRAME]) for start in range(0, len(data), _CODED_FRAME)]
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]) if frames else np.zeros(0)
    return samples.astype(np.float32) / 32768


def encode_g722(audio: np.ndarray) -> bytes:
    """Encode float audio ``[samples]`` at 16 kHz in G.722 at 64 kbit/s; what exceeds full scale is clipped."""
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate = SAMPLE_RATE
    encoder.layout = "mono"
    encoder.format = "s16"
    samples = to_int16(audio)
    packets = []
    for start in range(0, len(samples), 2 * _CODED_FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 2 * _CODED_FRAME], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Float audio as 16-bit samples, rounded and clipped at full scale."""
    return np.clip(np.rint(np.asarray(audio, dtype=np.float64) * 32768), -32768, 32767).astype(np.int16)


def band(audio: np.ndarray) -> np.ndarray:
    """Keep the band of wideband telephony, about 100 to 7000 Hz (ITU-T P.341), without shifting phases.

    Prompts have almost no energy outside it, while most synthesizers have: the band alone would reveal the class.

    Args:
        audio: ``[samples]`` at 16 kHz.

    Returns:
        As many samples, float32.
    """
    size = len(audio) + SAMPLE_RATE // 10  # zero padding for the filter's ringing, against circular convolution
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    rise = np.clip((frequencies - LOW_HZ[0]) / (LOW_HZ[1] - LOW_HZ[0]), 0, 1)
    fall = np.clip((HIGH_HZ[1] - frequencies) / (HIGH_HZ[1] - HIGH_HZ[0]), 0, 1)
    response = np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2
    return np.fft.irfft(np.fft.rfft(audio, size) * response, size)[: len(audio)].astype(np.float32)


def trim(audio: np.ndarray) -> np.ndarray:
    """Cut the silence off both ends and fade the cuts over 5 ms.

    Frames of 10 ms whose energy is more than 35 dB below that of the loudest are silence.

    Args:
        audio: ``[samples]`` at 16 kHz.

    Returns:
        The audio from the first to the last frame that is not silent, as float32.

    Raises:
        DropinError: only digital silence, or shorter than one frame.
    """
    frames = np.asarray(audio[: len(audio) // _FRAME * _FRAME], dtype=np.float64).reshape(-1, _FRAME)
    energy = (frames**2).mean(axis=1)
    if not energy.any():
        raise DropinError(f"audio must not be silent; got {len(audio)} samples of silence, leave it out")
    loud = np.flatnonzero(energy > energy.max() * 10 ** (SILENCE_DB / 10))
    kept = np.array(audio[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME], dtype=np.float32)
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    kept[:_FADE] *= ramp
    kept[-_FADE:] *= ramp[::-1]
    return kept


def limit(audio: np.ndarray) -> np.ndarray:
    """Scale to a root mean square of 1 and reduce the gain around peaks above 11 dB, smoothly over 10 ms.

    Prompts are mastered so, synthesizers' output is not: without a limiter the peak alone would reveal the class.
    """
    scaled = np.asarray(audio, dtype=np.float64) / np.sqrt(np.mean(np.asarray(audio, dtype=np.float64) ** 2))
    needed = np.minimum(1, 10 ** (CREST_DB / 20) / np.maximum(np.abs(scaled), 1e-9))
    around = np.pad(needed, 2 * _HALF, mode="edge")
    lowest = np.lib.stride_tricks.sliding_window_view(around, 2 * _HALF + 1).min(axis=1)
    smooth = np.hanning(2 * _HALF + 3)[1:-1]
    return scaled * np.convolve(lowest, smooth / smooth.sum(), mode="valid")


def level(audio: np.ndarray, level_db: float = LEVEL_DB) -> np.ndarray:
    """Limit peaks and scale to a root mean square of `level_db` relative to full scale; float32."""
    limited = limit(audio)
    return (limited / np.sqrt(np.mean(limited**2)) * 10 ** (level_db / 20)).astype(np.float32)


def record(audio: np.ndarray) -> np.ndarray:
    """A spoof as if recorded as a G.722 prompt: level normalised and coded once, not trimmed."""
    return decode_g722(encode_g722(level(audio)))


def transmit(audio: np.ndarray, gain_db: float = 0.0) -> np.ndarray:
    """The channel: band-pass, trimming, level normalisation, G.722 coding and decoding.

    Args:
        audio: ``[samples]`` at 16 kHz.
        gain_db: level of this utterance relative to `LEVEL_DB`. It should vary, since the codec changes equal levels
            slightly differently for each class.

    Returns:
        float32 ``[samples]`` at 16 kHz.

    Raises:
        DropinError: only silence.
    """
    return decode_g722(encode_g722(level(trim(band(audio)), LEVEL_DB + gain_db)))
