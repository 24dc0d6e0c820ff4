"""Decoding to mono at 16 kHz, and the faults of files that cannot be decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from full_disk import full_disk
from trainables.audio import decoding
from trainables.audio.reading import SAMPLE_RATE, check_header, read_audio, write_flac
from trainables.errors import DropinError


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_mean_of_channels(tmp_path: Path, suffix: str) -> None:
    left, right = np.array([0, 8192, -16384], dtype=np.int16), np.array([16384, 8192, 0], dtype=np.int16)
    soundfile.write(tmp_path / f"a.{suffix}", np.stack([left, right], axis=1), SAMPLE_RATE)
    audio = read_audio(tmp_path / f"a.{suffix}")
    assert audio.dtype == np.float32
    assert audio.tolist() == [0.25, 0.25, -0.25]


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampled_sine_is_the_sine_at_16_khz(tmp_path: Path, rate: int) -> None:
    seconds, hertz = 0.5, 440.0
    sine = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    soundfile.write(tmp_path / "a.wav", sine, rate, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav")
    expected = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(SAMPLE_RATE * seconds)) / SAMPLE_RATE)
    assert audio.shape == expected.shape
    np.testing.assert_allclose(audio[200:-200], expected[200:-200], atol=2e-3)


@given(
    pcm=hnp.arrays(np.int16, st.tuples(st.integers(1, 300), st.integers(1, 4))), suffix=st.sampled_from(["wav", "flac"])
)
def test_16_bit_files_come_back_sample_for_sample(
    tmp_path_factory: pytest.TempPathFactory, pcm: np.ndarray, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("pcm") / f"a.{suffix}"
    soundfile.write(path, pcm, SAMPLE_RATE)
    assert check_header(path)[0] is None
    np.testing.assert_allclose(read_audio(path), pcm.mean(axis=1) / 32768, atol=1e-6)


def test_bad_files_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "nothing.flac").touch()
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), SAMPLE_RATE)
    (tmp_path / "text.flac").write_text("not audio at all " * 20)
    for name, reason in {
        "gone.flac": "is missing",
        "nothing.flac": "is empty",
        "empty.wav": "is empty",
        "text.flac": "cannot be read",
    }.items():
        path = tmp_path / name
        fault = check_header(path)[0]
        assert fault is not None, name
        assert fault.startswith(reason)
        with pytest.raises(ValueError, match=f"{name} {reason}"):
            read_audio(path)


def test_damage_behind_the_header_shows_when_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 50000), SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:5000])
    assert check_header(path)[0] is None
    with pytest.raises(ValueError, match=r"cut\.flac cannot be read"):
        read_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_must_be_finite(tmp_path: Path, value: float) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, value, 0.0]), SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN or infinity"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [1001, 11127, 44101, 99991, 383_999])
def test_unusual_rates(tmp_path: Path, rate: int) -> None:
    seconds = 0.5
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 100 * np.arange(int(seconds * rate)) / rate), rate)
    resampled = read_audio(tmp_path / "a.wav")
    assert abs(len(resampled) - seconds * SAMPLE_RATE) <= 17
    expected = 0.5 * np.sin(2 * np.pi * 100 * np.arange(len(resampled)) / SAMPLE_RATE)
    np.testing.assert_allclose(resampled[1000:-1000], expected[1000:-1000], atol=0.01)


def claim(path: Path, *, samples: int = 1000, rate: int = SAMPLE_RATE) -> Path:
    """A FLAC file of silence whose header claims to be of this size and rate."""
    soundfile.write(path, np.zeros(1000), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    stream_info = rate << 44 | 15 << 36 | samples
    content[18:26] = stream_info.to_bytes(8, "big")
    path.write_bytes(content)
    return path


def test_the_forged_header_is_at_its_offset(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(1000), SAMPLE_RATE)
    before = (tmp_path / "a.flac").read_bytes()
    assert claim(tmp_path / "a.flac").read_bytes() == before


@pytest.mark.parametrize(
    ("claimed", "fault"),
    [
        ({"samples": 2**36 - 1}, "claims 68719476735 times 1 samples; audio must have at most 536870912 in all"),
        ({"rate": 999}, "has a sampling rate of 999 Hz; it must be from 1000 to 384000"),
    ],
)
def test_implausible_headers_are_refused(claimed: dict[str, int], fault: str, tmp_path: Path) -> None:
    path = claim(tmp_path / "a.flac", **claimed)
    assert (check_header(path)[0] or "").startswith(fault)
    with pytest.raises(ValueError, match=f"a.flac {fault}"):
        read_audio(path)


def test_all_channels_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 3)), SAMPLE_RATE)
    monkeypatch.setattr(decoding, "MAX_SAMPLES", 300)
    assert check_header(tmp_path / "a.wav")[0] is None
    monkeypatch.setattr(decoding, "MAX_SAMPLES", 299)
    assert (check_header(tmp_path / "a.wav")[0] or "").startswith("claims 100 times 3 samples")


def test_too_high_a_rate_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(10), 999_983)
    with pytest.raises(ValueError, match="has a sampling rate of 999983 Hz"):
        read_audio(tmp_path / "a.wav")


@given(samples=hnp.arrays(np.int16, st.integers(1, 200)))
def test_what_is_written_is_read_back(samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("flac") / "a.flac"
    write_flac(path, samples)
    np.testing.assert_array_equal(read_audio(path), samples.astype(np.float32) / 2**15)


def test_audio_that_does_not_fit_names_its_file_and_why(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with full_disk(100), pytest.raises(DropinError, match=r"a\.flac cannot be written: no space left"):
        write_flac(path, np.random.default_rng(0).normal(0, 0.1, 16_000))
