"""Where in a recording somebody speaks, by the energy of its frames.

A frame counts as speech where its energy is at most 30 dB below that of the recording's loudest frame (Kinnunen and Li,
"An overview of text-independent speaker recognition", Speech Communication 52, 2010, section 3.1; the rule of many
anti-spoofing systems). It does not depend on the level of a recording. Steady noise that is louder than that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

FRAME = 320
"""Samples: 20 ms at 16 kHz."""
RANGE_DB = 30.0


def speech_frames(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Which frames of a waveform hold speech.

    Args:
        blocks: the waveform, float32 ``[samples]`` at 16 kHz, in blocks of any length.

    Returns:
        bool ``[frames]``; the last frame may be shorter. At least one is speech, if there are any.
    """
    energies = [np.square(frames, dtype=np.float64).mean(axis=1) for frames in _frames(blocks)]
    if not energies:
        return np.zeros(0, bool)
    energy = np.concatenate(energies)
    return energy >= energy.max() * 10 ** (-RANGE_DB / 10)


def only_speech(blocks: Iterable[np.ndarray], speech: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of a waveform that hold speech, one after the other, in blocks.

    Args:
        blocks: as `speech_frames` was given.
        speech: what that gave.
    """
    done = 0
    for frames in _frames(blocks):
        yield frames[speech[done : done + len(frames)]].reshape(-1)
        done += len(frames)


def positions(speech: np.ndarray) -> np.ndarray:
    """Where in the recording each frame of `only_speech` begins, in samples."""
    return np.flatnonzero(speech) * FRAME


def _frames(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The waveform as ``[frames, 320]`` per block; what is left at the end is a frame of its own, of fewer samples."""
    held = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        whole = len(held) // FRAME * FRAME
        if whole:
            yield held[:whole].reshape(-1, FRAME)
        held = held[whole:]
    if len(held):
        yield held[None]
