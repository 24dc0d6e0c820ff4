"""A few recordings, and what ``search.score --json`` says of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from search.score import main

RATE = 16000
LENGTHS = {"short": 1.0, "exact": 4.0, "long": 5.5, "other": 2.3}


def make(folder: Path) -> Path:
    """Noise of different colours, a FLAC file for each of `LENGTHS`; ``other`` is stereo at 44.1 kHz."""
    for number, (name, seconds) in enumerate(LENGTHS.items()):
        noise = np.random.default_rng(number).standard_normal(round(seconds * RATE)) * 0.05
        noise = np.convolve(noise, np.ones(number + 1) / (number + 1), mode="same")
        other = name == "other"
        samples = np.stack([noise, -0.5 * noise], axis=1) if other else noise
        soundfile.write(folder / f"{name}.flac", samples, 44100 if other else RATE, subtype="PCM_16")
    return folder


def files(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.iterdir())]


def answer(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict[str, Any]]:
    """The lines of JSON."""
    capsys.readouterr()
    main([*command, "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
