"""Segments: what is repeated, what is cut, where windows lie."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.features.segment import samples_in, segment, window_starts


def test_short_audio_is_repeated_from_its_beginning() -> None:
    assert segment(np.arange(5), 12).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_long_audio_is_cut_without_a_copy() -> None:
    audio = np.arange(10)
    assert segment(audio, 4).tolist() == [0, 1, 2, 3]
    assert segment(audio, 4, 6).tolist() == [6, 7, 8, 9]
    assert np.shares_memory(segment(audio, 4, 6), audio)


def test_windows_come_every_step_and_one_ends_with_the_audio() -> None:
    assert window_starts(length=21, samples=8, step=2, reach=24) == (0, 2, 4, 6, 8, 10, 12, 13)
    assert window_starts(length=1000, samples=8, step=4, reach=24) == (0, 4, 8, 12, 16)
    assert window_starts(length=9, samples=8, step=4, reach=24) == (0, 1)
    assert window_starts(length=5, samples=8, step=4, reach=24) == (0,)
    assert window_starts(length=1000, samples=8, step=4, reach=8) == (0,)


def test_four_seconds_are_64000_samples() -> None:
    assert samples_in(4.0, 16000) == 64000


@given(length=st.integers(1, 300), samples=st.integers(1, 300))
def test_sample_i_is_sample_i_modulo_the_length(length: int, samples: int) -> None:
    audio = np.arange(length)
    assert (segment(audio, samples) == np.arange(samples) % length).all()


@given(length=st.integers(1, 300), samples=st.integers(1, 80), step=st.integers(1, 40), times=st.integers(1, 4))
def test_windows_lie_in_reach_and_leave_no_gap(length: int, samples: int, step: int, times: int) -> None:
    starts = window_starts(length, samples, step, times * samples)
    assert starts[0] == 0
    assert starts[-1] + samples == max(samples, min(length, times * samples))
    assert all(0 < later - earlier <= step for earlier, later in pairwise(starts))
    for start in starts:
        assert len(segment(np.arange(length), samples, start)) == samples


@pytest.mark.parametrize(
    ("audio", "samples", "start"),
    [(np.empty(0), 4, 0), (np.zeros((2, 5)), 4, 0), (np.zeros(5), 0, 0), (np.zeros(5), 4, 2), (np.zeros(5), 8, 1)],
)
def test_bad_arguments_are_refused(audio: np.ndarray, samples: int, start: int) -> None:
    with pytest.raises(ValueError, match="must"):
        segment(audio, samples, start)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 61.0, float("nan")])
def test_bad_durations_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="a segment must last"):
        samples_in(seconds, 16000)
