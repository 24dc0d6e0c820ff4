"""Which files are audio, by their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.audio.files import AUDIO_SUFFIXES, OTHER_AUDIO_SUFFIXES, is_audio_name, is_other_audio_name

WRITTEN = {
    "WAV": ".wav",
    "RF64": ".rf64",
    "W64": ".w64",
    "FLAC": ".flac",
    "MP3": ".mp3",
    "OGG": ".ogg",
    "AIFF": ".aiff",
    "AU": ".au",
    "CAF": ".caf",
    "NIST": ".sph",
    "VOC": ".voc",
    "SVX": ".8svx",
    "IRCAM": ".sf",
    "AVR": ".avr",
    "PAF": ".paf",
    "PVF": ".pvf",
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_files_of_these_names_can_be_decoded(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{WRITTEN[kind]}"
    with open(path, "wb") as file:  # libsndfile must tell the format by the content
        soundfile.write(file, np.zeros(800), 16000, format=kind)
    assert is_audio_name(path.name)
    assert soundfile.info(str(path)).samplerate == 16000


@pytest.mark.parametrize("name", ["a.wav", "A.WAV", "x.y.Flac", "a.mp3", "a.opus", "a b.aif"])
def test_audio(name: str) -> None:
    assert is_audio_name(name)
    assert not is_other_audio_name(name)


@pytest.mark.parametrize("name", ["a.m4a", "A.AAC", "a.wma", "b.amr", "c.mp4"])
def test_audio_that_is_not_decoded(name: str) -> None:
    assert is_other_audio_name(name)
    assert not is_audio_name(name)


@pytest.mark.parametrize("name", ["", "wav", ".wav", "._a.wav", "a.txt", "a.wav.part", "a", "._a.m4a", "a.wav/"])
def test_what_is_no_audio(name: str) -> None:
    assert not is_audio_name(name)
    assert not is_other_audio_name(name)


def test_no_suffix_is_both() -> None:
    assert not AUDIO_SUFFIXES & OTHER_AUDIO_SUFFIXES
