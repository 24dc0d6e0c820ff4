"""Files whose header disagrees with them, formats without seeking, channels that cancel, and blocks of long files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mutations import outcome
from trainables.audio import decoding, reading
from trainables.audio.channels import mixed
from trainables.audio.reading import CANCELLING, AudioStream, check_header, mono_16k, read_audio, read_with_notes
from trainables.audio.resampling import Resampler, resampled
from trainables.errors import DropinError

RATE = 16_000


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(-8000, 8000, samples)).astype(np.int16)


def both(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is read of a file as a whole, which is what is read of it in blocks."""
    whole, notes = read_with_notes(path)
    stream = AudioStream(path)
    np.testing.assert_array_equal(np.concatenate(list(stream.blocks())), whole)
    assert stream.notes == notes
    return whole, notes


def wav(path: Path, samples: np.ndarray, claimed: int, behind: bytes = b"") -> Path:
    """A WAV file whose header claims that it has so many bytes of samples."""
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    content[40:44] = struct.pack("<I", claimed)
    path.write_bytes(bytes(content) + behind)
    return path


# Closed form


@pytest.mark.parametrize("claimed", [0, 100, 2**31 - 1, 2**32 - 1, 50_000])
def test_a_wav_file_is_read_to_its_end_whatever_its_header_claims(claimed: int, tmp_path: Path) -> None:
    samples = noise(10_000)
    path = wav(tmp_path / "a.wav", samples, claimed)
    assert check_header(path)[0] is None
    found, notes = both(path)
    np.testing.assert_array_equal(found, samples.astype(np.float32) / 2**15)
    unknown = claimed >= 2**31 - 4096
    assert notes == (() if unknown else (f"its header claims {claimed} bytes of samples, and it has 20000; all of "
                                         "these are read",))  # fmt: skip


@pytest.mark.parametrize("behind", [b"LIST" + struct.pack("<I", 6000) + bytes(6000), b"TAG" + bytes(125), b"\x07" * 60])
def test_what_is_behind_the_samples_is_not_heard(behind: bytes, tmp_path: Path) -> None:
    samples = noise(1000)
    path = wav(tmp_path / "a.wav", samples, 2000, behind)
    found, notes = both(path)
    np.testing.assert_array_equal(found, samples.astype(np.float32) / 2**15)
    assert notes == ()


def test_a_flac_file_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    for name, channels, subtype in (("a", 1, "PCM_16"), ("b", 2, "PCM_16"), ("c", 1, "PCM_24")):
        path = tmp_path / f"{name}.flac"
        samples = np.stack([noise(20_000, seed) for seed in range(channels)], axis=1)
        soundfile.write(path, samples, RATE, subtype=subtype)
        expected = read_audio(path)
        content = bytearray(path.read_bytes())
        content[21] &= 0xF0
        content[22:26] = bytes(4)
        path.write_bytes(content)
        assert check_header(path)[0] is None
        found, notes = both(path)
        np.testing.assert_array_equal(found, expected)
        assert notes == ("its header does not tell its length; it is read to its end",)


def test_such_files_take_no_more_memory_than_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(20_000), RATE)
    content = bytearray(path.read_bytes())
    content[22:26] = bytes(4)
    path.write_bytes(content)
    monkeypatch.setattr(decoding, "MAX_SAMPLES", 19_999)
    monkeypatch.setattr(decoding, "BLOCK_FRAMES", 5000)
    with pytest.raises(DropinError, match=r"a\.flac has more than 19999 samples"):
        read_audio(path)


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "GSM610"), ("au", "G721_32")])
def test_formats_without_seeking_are_read(suffix: str, subtype: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    sine = (0.5 * np.sin(2 * np.pi * 300 * np.arange(8000) / RATE)).astype(np.float32)
    soundfile.write(path, sine, RATE, subtype=subtype)
    assert check_header(path)[0] is None
    found, _ = both(path)
    assert 8000 <= len(found) < 8400
    assert np.abs(found[500:8000] - sine[500:]).max() < 0.1


def test_channels_that_cancel_are_one_of_them(tmp_path: Path) -> None:
    samples = noise(2000)
    soundfile.write(tmp_path / "a.wav", np.stack([samples, -samples], axis=1), RATE)
    found, notes = both(tmp_path / "a.wav")
    np.testing.assert_array_equal(found, samples.astype(np.float32) / 2**15)
    assert notes == (CANCELLING,)
    stereo = np.stack([samples, -samples], axis=1) / np.float32(2**15)
    np.testing.assert_array_equal(mono_16k(stereo, RATE), found)


@pytest.mark.parametrize(
    ("channels", "cancel"),
    [
        ([1, 1], False),
        ([1, 0], False),
        ([1, -0.5], False),
        ([1, -0.9], True),
        ([0, 1, -1], True),
        ([1] + 31 * [0], False),
        ([0, 0], False),
    ],
)
def test_which_channels_cancel(channels: list[float], cancel: bool) -> None:
    one = noise(500).astype(np.float32)
    samples = np.outer(one, np.array(channels, np.float32))
    mono, found = mixed(samples)
    assert found == cancel
    np.testing.assert_allclose(mono, one if cancel else one * np.mean(channels), rtol=1e-5, atol=1e-2)


def test_channels_that_have_nothing_in_common_are_averaged() -> None:
    samples = np.stack([noise(4000, seed) for seed in range(8)], axis=1).astype(np.float32)
    mono, cancel = mixed(samples)
    assert not cancel
    np.testing.assert_array_equal(mono, samples.mean(axis=1))


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    assert "git lfs pull" in (check_header(path)[0] or "")


# Property


@settings(max_examples=40)
@given(
    rate=st.sampled_from([8000, 11_025, 22_050, 44_100, 48_000, 96_000, 16_000, 15_999]),
    length=st.integers(1, 60_000),
    cuts=st.lists(st.integers(0, 60_000), max_size=4),
)
def test_blocks_resample_as_the_whole(rate: int, length: int, cuts: list[int]) -> None:
    waveform = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    blocks = np.split(waveform, sorted(cut % (length + 1) for cut in cuts))
    resampler = Resampler(rate)
    found = np.concatenate([*map(resampler.push, blocks), resampler.finish()])
    expected = resampled(waveform, rate)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-5)


@given(
    length=st.integers(1, 3000),
    claimed=st.integers(0, 2**32 - 1),
    behind=st.binary(max_size=40),
    at=st.integers(0, 60),
    byte=st.integers(0, 255),
)
def test_any_header_is_samples_or_an_error(
    length: int, claimed: int, behind: bytes, at: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = wav(tmp_path_factory.mktemp("wav") / "a.wav", noise(length), claimed, behind)
    content = bytearray(path.read_bytes())
    content[min(at, len(content) - 1)] = byte
    path.write_bytes(content)
    fault, found = check_header(path)[0], outcome(read_audio, path)
    if isinstance(found, ValueError):
        assert str(path) in str(found)
    else:
        assert fault is None
        assert np.isfinite(found).all()


# Bad input


def test_blocks_have_the_faults_of_the_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), RATE, subtype="FLOAT")
    for path, said in (
        (tmp_path / "empty.wav", "is empty"),
        (tmp_path / "nan.wav", "has NaN or infinity"),
        (tmp_path / "gone.wav", "is missing"),
        (tmp_path / ("x" * 300), "cannot be read"),
    ):
        for read in (read_audio, lambda path: list(AudioStream(path).blocks())):
            with pytest.raises(DropinError, match=said) as raised:
                read(path)
            assert str(path) in str(raised.value)


def test_long_files_come_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "AT_ONCE", 0)
    for module in (decoding, reading):
        monkeypatch.setattr(module, "BLOCK_FRAMES", 1000)
    for suffix in ("wav", "flac", "ogg"):
        soundfile.write(tmp_path / f"a.{suffix}", noise(4500), RATE)
        assert [len(block) for block in AudioStream(tmp_path / f"a.{suffix}").blocks()] == [1000] * 4 + [500, 0]
        both(tmp_path / f"a.{suffix}")
