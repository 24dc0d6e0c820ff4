"""Windows of a recording that comes in blocks, what is left of it where only speech counts, and pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.scoring.speech import FRAME, only_speech, positions, speech_frames
from search.scoring.windowing import AllWindows, FirstWindow, Window, Windowing
from trainables.errors import DropinError
from trainables.features.segment import segment, window_starts


def blocks_of(waveform: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(waveform, sorted(cut % (len(waveform) + 1) for cut in cuts))


def cut(windower: AllWindows | FirstWindow, blocks: list[np.ndarray]) -> list[Window]:
    found = [(begin, end, samples.copy()) for block in blocks for begin, end, samples in windower.push(block)]
    return [*found, windower.finish()]


# Closed form


def test_ten_seconds_have_four_windows_of_four_seconds() -> None:
    found = cut(AllWindows(4, 2), [np.arange(10, dtype=np.float32)])
    assert [(begin, end) for begin, end, _ in found] == [(0, 4), (2, 6), (4, 8), (6, 10)]
    assert [samples.tolist() for _, _, samples in found] == [[b, b + 1, b + 2, b + 3] for b in (0, 2, 4, 6)]


def test_a_short_recording_is_repeated() -> None:
    for windower in (AllWindows(5, 2), FirstWindow(5)):
        [(begin, end, samples)] = cut(windower, [np.array([1, 2], np.float32)])
        assert (begin, end, samples.tolist()) == (0, 2, [1, 2, 1, 2, 1])


def test_pooling() -> None:
    assert Windowing().pooled([1.0, -2.0, 4.0]) == 1.0
    assert Windowing(pooling="max_spoof").pooled([1.0, -2.0, 4.0]) == -2.0


def test_the_hop_is_half_a_window_unless_it_is_given() -> None:
    assert Windowing().step(64_000) == 32_000
    assert Windowing(hop=1.0).step(64_000) == 16_000


def test_speech_is_what_is_less_than_thirty_decibels_below_the_loudest_frame() -> None:
    levels = [1.0, 10 ** (-29.9 / 20), 10 ** (-30.1 / 20), 0.0]
    waveform = np.repeat(np.array(levels, np.float32), FRAME)
    speech = speech_frames([waveform])
    assert speech.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(np.concatenate(list(only_speech([waveform], speech))), waveform[: 2 * FRAME])
    assert positions(np.array([False, True, False, True])).tolist() == [FRAME, 3 * FRAME]


# Property


@given(
    length=st.integers(1, 60), samples=st.integers(1, 20), step=st.integers(1, 20), cuts=st.lists(st.integers(0, 60))
)
def test_windows_are_those_of_the_whole_however_it_is_cut(
    length: int, samples: int, step: int, cuts: list[int]
) -> None:
    step = min(step, samples)
    waveform = np.arange(length, dtype=np.float32)
    found = cut(AllWindows(samples, step), blocks_of(waveform, cuts))
    starts = window_starts(length, samples, step, length)
    assert [(begin, end) for begin, end, _ in found] == [(start, min(start + samples, length)) for start in starts]
    for start, (_, _, window) in zip(starts, found, strict=True):
        np.testing.assert_array_equal(window, segment(waveform, samples, start))
    [(_, end, first)] = cut(FirstWindow(samples), blocks_of(waveform, cuts))
    assert end == min(samples, length)
    np.testing.assert_array_equal(first, segment(waveform, samples))


@given(
    levels=st.lists(st.sampled_from([0.0, 1e-4, 0.5, 1.0]), min_size=1, max_size=12),
    rest=st.integers(0, FRAME - 1),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
    gain=st.sampled_from([1.0, 2.0**-10]),
)
def test_speech_is_the_same_however_a_recording_is_cut_and_however_loud_it_is(
    levels: list[float], rest: int, cuts: list[int], gain: float
) -> None:
    waveform = np.repeat(np.array(levels, np.float32), FRAME)
    waveform = np.concatenate([waveform, np.full(rest, levels[-1], np.float32)])
    speech = speech_frames([waveform])
    assert speech.any()
    blocks = blocks_of(waveform, cuts)
    np.testing.assert_array_equal(speech, speech_frames([gain * block for block in blocks]))
    kept = np.concatenate(list(only_speech(blocks, speech)))
    np.testing.assert_array_equal(kept, waveform[np.repeat(speech, FRAME)[: len(waveform)]])


# Bad input


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"windows": "some"}, "windows must be one of all, first; got 'some'"),
        ({"pooling": "median"}, "pooling must be one of mean, max_spoof; got 'median'"),
        ({"hop": 0.0}, "hop must be at least 0.01"),
        ({"hop": math.nan}, "hop must be at least 0.01"),
        ({"hop": math.inf}, "hop must be at least 0.01"),
    ],
)
def test_rules_that_there_are_not(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DropinError, match=said):
        Windowing(**wrong)


def test_a_hop_longer_than_a_window_would_leave_gaps() -> None:
    with pytest.raises(DropinError, match=r"hop must be at most a window, 4 seconds; got 4\.5"):
        Windowing(hop=4.5).step(64_000)
