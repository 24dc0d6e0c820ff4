"""The one channel that every utterance goes through, bona fide or spoof: trimmed, levelled, coded in G.722.

What the channel leaves must not tell the classes apart. The human prompts come out of a G.722 codec and go through it
once more, so a spoof goes through it twice as well: once with `record`, as the prompts once did, then with `transmit`.
"""

from __future__ import annotations

import av
import numpy as np

from trainables.corpora.audio import SAMPLE_RATE

LEVEL_DB = -26.0
"""Root mean square after trimming, relative to full scale; the usual speech level of ITU-T P.56 measurements."""
SILENCE_DB = -35.0
"""Frames this far below the loudest one count as silence at the ends."""
PEAK = 0.95
_FRAME = SAMPLE_RATE // 100
_FADE = SAMPLE_RATE // 200
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


def trim(audio: np.ndarray) -> np.ndarray:
    """Cut the silence off both ends and fade the cuts over 5 ms.

    Frames of 10 ms whose energy is more than 35 dB below that of the loudest are silence.

    Args:
        audio: ``[samples]`` at 16 kHz.

    Returns:
        What is between the first and the last frame that is not silent, as float32.

    Raises:
        ValueError: nothing but digital silence, or shorter than one frame.
    """
    frames = np.asarray(audio[: len(audio) // _FRAME * _FRAME], dtype=np.float64).reshape(-1, _FRAME)
    energy = (frames**2).mean(axis=1)
    if not energy.any():
        raise ValueError(f"audio must hold a sound; got {len(audio)} samples of silence, leave it out")
    loud = np.flatnonzero(energy > energy.max() * 10 ** (SILENCE_DB / 10))
    kept = np.array(audio[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME], dtype=np.float32)
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    kept[:_FADE] *= ramp
    kept[-_FADE:] *= ramp[::-1]
    return kept


def level(audio: np.ndarray) -> np.ndarray:
    """Scale to a root mean square of -26 dB below full scale, or to a peak of 0.95 where that is less."""
    gain = 10 ** (LEVEL_DB / 20) / np.sqrt(np.mean(np.asarray(audio, dtype=np.float64) ** 2))
    return (audio * min(gain, PEAK / np.abs(audio).max())).astype(np.float32)


def record(audio: np.ndarray) -> np.ndarray:
    """What a recording of a spoof as a G.722 prompt would be: levelled and coded once, nothing cut."""
    return decode_g722(encode_g722(level(audio)))


def transmit(audio: np.ndarray) -> np.ndarray:
    """The channel itself: trimmed, levelled, coded in G.722 and back; float32 ``[samples]`` at 16 kHz."""
    return decode_g722(encode_g722(level(trim(audio))))
