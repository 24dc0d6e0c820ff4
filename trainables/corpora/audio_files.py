"""Which files of a folder are audio, by their names: what libsndfile decodes, and what it does not."""

from __future__ import annotations

import os

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


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
