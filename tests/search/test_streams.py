"""Commands whose output goes to what cannot take all of it: an encoding without umlauts, a pipe that is closed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import finished_run
from project_file import ROOT

NAME = "Läufe 日本"
SHOWN = r"L\xe4ufe \u65e5\u672c"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name ASCII cannot write, with a finished run, an export of it and a recording."""
    folder = tmp_path_factory.mktemp("streams") / NAME
    run = finished_run.make(folder)
    done = command("export", str(run), "--to", str(folder / "front"))
    assert done.returncode == 0, done.stderr
    shutil.copyfile(next((folder / "corpus").rglob("*.flac")), folder / "gehört.flac")
    return folder


def command(name: str, *words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a command whose standard streams are ASCII."""
    return subprocess.run(
        [sys.executable, "-m", f"search.{name}", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )


def test_scores_are_shown_in_ascii(place: Path) -> None:
    words = [str(place / "front" / "detectors" / "0"), str(place / "gehört.flac")]
    table = command("score", *words)
    assert (table.returncode, table.stderr) == (0, "")
    assert rf"{SHOWN}/geh\xf6rt.flac" in table.stdout
    document = command("score", "--json", *words)
    assert (document.returncode, document.stderr) == (0, "")
    found = json.loads(document.stdout)
    assert found["file"] == words[1]
    assert f"{found['score']:.3f}" in table.stdout


def test_an_export_and_a_report_say_in_ascii_where_they_are(place: Path) -> None:
    run, front = str(place / "runs" / "one"), str(place / "frönt")
    for words, said in (
        (["export", run, "--to", front], r"fr\xf6nt/front.png"),
        (["report", run, "--front", front], "one/report.html"),
    ):
        done = command(words[0], *words[1:])
        assert (done.returncode, done.stderr) == (0, "")
        assert SHOWN in done.stdout
        assert said in done.stdout


def test_a_search_and_a_confirmation_say_in_ascii_what_is_wrong(place: Path) -> None:
    nowhere = ["--corpus", "synthetic", "--cache", str(place / "cache"), "--address", "127.0.0.1:1"]
    done = command("run", *nowhere, "--storage", str(place / "runs"), "--name", "two")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{SHOWN}/runs/two" in done.stdout
    done = command("confirm", str(place / "runs" / "two"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{SHOWN}/runs/two has not read its corpus yet" in done.stderr


@pytest.mark.parametrize("name", ["score", "confirm", "run"])
def test_a_closed_pipe_ends_the_output_and_not_the_command(name: str, place: Path) -> None:
    words = {"score": [f"{place}/front/detectors/0", str(place / "gehört.flac")]}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = command(name, *words.get(name, ["--help"]), stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
