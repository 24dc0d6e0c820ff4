"""The table and the picture of a recording's scores over time."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_together import RATE, noise

from detectors import saved_detector
from search.score import main
from search.scoring.scored import Scored, WindowScore
from search.scoring.timeline import draw


def test_the_table_says_what_the_windows_scored_and_the_picture_is_one(tmp_path: Path) -> None:
    place, folder = str(saved_detector(tmp_path / "detector", seconds=1.0)), tmp_path / "new" / "timelines"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "call.wav", noise(2.5), RATE, subtype="PCM_16")
    named = [str(tmp_path / name / "call.wav") for name in ("a", "b")]
    assert main([place, *named, str(tmp_path / "missing"), "--hop", "0.75", "--timeline", str(folder)]) == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        *("call.wav-2.csv", "call.wav-2.png", "call.wav.csv", "call.wav.png"),
    ]
    rows = list(csv.DictReader((folder / "call.wav.csv").open()))
    assert [(float(row["start"]), float(row["end"])) for row in rows] == [(0, 1), (0.75, 1.75), (1.5, 2.5)]
    assert all(math.isfinite(float(row["score"])) for row in rows)
    assert (folder / "call.wav.png").read_bytes()[:4] == b"\x89PNG"


def test_the_picture_shows_each_window_on_its_side_of_the_threshold() -> None:
    windows = (WindowScore(0, 4, 2.0), WindowScore(2, 6, math.nan), WindowScore(4, 8, 1.0), WindowScore(6, 10, -3.0))
    figure = draw(Scored("$call$.wav", 0.0, None, windows), 1.0)
    (axes,) = figure.axes
    points = {line.get_label(): np.array([line.get_xdata(), line.get_ydata()]).tolist() for line in axes.lines}
    assert points["bona fide"] == [[2.0, 6.0], [2.0, 1.0]]
    assert points["spoof"] == [[8.0], [-3.0]]
    assert points["threshold 1.000"][1] == [1.0, 1.0]
    assert axes.get_xlim() == (0, 10)
    assert axes.get_title() == "$call$.wav: 0.000"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1.0), RATE)
    (tmp_path / "file").touch()
    place = str(saved_detector(tmp_path / "detector"))
    assert main([place, str(tmp_path / "a.wav"), "--timeline", str(tmp_path / "file")]) == 2
    assert "cannot be written (File exists): name another folder by --timeline" in capsys.readouterr().err
