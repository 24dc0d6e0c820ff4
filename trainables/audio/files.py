"""Which files of a folder are audio, by their names: what libsndfile decodes, and what it does not."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

AUDIO_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".rf64", ".w64", ".flac", ".mp3", ".mp2", ".mp1", ".ogg", ".oga", ".opus"),
        *(
            ".aiff",
            ".aif",
            ".aifc",
            ".au",
            ".snd",
            ".caf",
            ".sph",
            ".nist",
            ".voc",
            ".8svx",
            ".sf",
            ".avr",
            ".paf",
            ".pvf",
        ),
    }
)
"""Suffixes of what libsndfile decodes, in lower case. Formats that need settings (RAW) and those of samplers and of
MATLAB are none of them."""
OTHER_AUDIO_SUFFIXES = frozenset(
    {
        *(".m4a", ".m4b", ".mp4", ".aac", ".wma", ".amr", ".awb", ".3gp", ".3ga", ".webm", ".mka", ".ac3", ".eac3"),
        *(".ape", ".wv", ".tta", ".tak", ".shn", ".mpc", ".spx", ".ra", ".rm", ".dts", ".gsm", ".alac", ".dsf", ".qcp"),
    }
)
"""Suffixes of audio and video that libsndfile does not decode, in lower case."""


def is_audio_name(name: str) -> bool:
    """Whether a file is audio that libsndfile decodes, by its suffix in either case.

    Hidden files are none: archives made on macOS have a ``._`` file for every file.
    """
    return not name.startswith(".") and _suffix(name) in AUDIO_SUFFIXES


def is_other_audio_name(name: str) -> bool:
    """Whether a file is audio that libsndfile does not decode, by its suffix in either case; hidden files are none."""
    return not name.startswith(".") and _suffix(name) in OTHER_AUDIO_SUFFIXES


def without_audio_suffix(name: str) -> str:
    """A file name without its suffix, if that is one of audio."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in AUDIO_SUFFIXES | OTHER_AUDIO_SUFFIXES else name


class AudioFolder:
    """The audio files of a folder, found by their names without suffix.

    The folder is listed once, which is much faster than to ask for each of 70,000 files.
    """

    def __init__(self, folder: Path, *, readable: bool) -> None:
        """List a folder.

        Args:
            folder: the folder.
            readable: whether it can be read; one that cannot has no files.
        """
        self.folder = folder
        self._names = frozenset(os.listdir(folder)) if readable else frozenset()
        self._asked: set[str] = set()

    def find(self, stem: str) -> Path:
        """The file of an utterance: FLAC, or else any other audio; the FLAC where there is none."""
        name = f"{stem}.flac"
        if name not in self._names:
            name = self._by_stem.get(stem, name)
        self._asked.add(name)
        return self.folder / name

    @property
    def others(self) -> int:
        """How many audio files were not asked for."""
        return sum(is_audio_name(name) for name in self._names - self._asked)

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        # WAV before other formats, and else the first one, whatever order the folder has.
        names = sorted(filter(is_audio_name, self._names), key=lambda name: (_suffix(name) != ".wav", name))
        return {os.path.splitext(name)[0]: name for name in reversed(names)}


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
