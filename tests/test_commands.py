"""The README's commands, as a user types them: from nothing to a score, and every other one at least understood."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import project_file
from search.settings.command_line import parse
from trainables.storage.checkpoint import load_detector

TOKEN = "0123456789abcdef" * 4
README = (project_file.ROOT / "README.md").read_text(encoding="utf-8")


def command(*words: str, cache: Path) -> str:
    """Run ``python -m …`` from the project's root; its output."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    environment = {**os.environ, "DROPIN_CACHE": str(cache), "COLUMNS": "100", **token}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=project_file.ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_from_nothing_to_a_score(tmp_path: Path) -> None:
    run, front, cache = tmp_path / "runs" / "first", tmp_path / "front", tmp_path / "cache"
    options = "--space plasticity --corpus synthetic --model-option width=4 --trials 4 --epochs 3 --base-epochs 2"
    one_worker = ["--cpus-per-trial", str(os.cpu_count())]  # each starts for seconds, and trials take less
    words = [*options.split(), *one_worker, "--storage", str(run.parent), "--name", run.name]
    output = command("search.run", *words, cache=cache)
    assert "simulated" in output
    assert str(run / "front.parquet") in output
    for name in ("settings.json", "versions.json", "corpus.json", "trials.jsonl", "results.parquet", "study.journal"):
        assert (run / name).is_file(), name
    records = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    assert {record["recipe"] for record in records} >= {"paper", "control"}
    assert [record["state"] for record in records] == ["COMPLETE"] * 4

    command("search.export", str(run), "--to", str(front), cache=cache)
    rows = list(csv.DictReader((front / "front.csv").read_text().splitlines()))
    members = sorted((front / "detectors").iterdir())
    assert 1 <= len(members) <= len(rows)
    assert (front / "front.png").stat().st_size > 10_000
    elsewhere = tmp_path / "elsewhere"
    what = ["--corpus", "synthetic", "--split", "dev", "--by", "attack", "--to", str(elsewhere)]
    assert "is not unseen data" in command("search.evaluate", str(front), *what, cache=cache)
    assert pq.read_table(elsewhere / "evaluation.parquet")["eer"][0].as_py() == float(rows[0]["eer_dev"])
    shown = ["--front", str(front), "--evaluation", str(elsewhere)]
    assert str(run / "report.html") in command("search.report", str(run), *shown, cache=cache)
    assert (run / "report.html").stat().st_size > 1_000_000
    detector = load_detector(members[0])
    assert sum(p.numel() for p in detector.module.parameters()) == detector.arch.size() == int(rows[0]["size"])

    audio = tmp_path / "noise.wav"
    soundfile.write(audio, 0.1 * np.random.default_rng(0).normal(size=44_100), 44_100)
    found = json.loads(command("search.score", str(members[0]), str(audio), "--json", cache=cache))
    assert found["verdict"] in ("bona fide", "spoof")
    assert np.isfinite(found["score"])

    written = {path: path.read_bytes() for path in (*run.rglob("*"), *front.rglob("*")) if path.is_file()}
    assert {"settings.json", "versions.json", "run.log", "study.journal", "detector.json"} <= {
        path.name for path in written
    }
    assert not [path for path, content in written.items() if TOKEN.encode() in content], "the token is in no file"


@pytest.mark.parametrize("line", re.findall(r"^    python -m search\.run (?!--resume)(.*)$", README, re.MULTILINE))
def test_every_search_in_the_readme_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").touch()
    words = shlex.split(line, comments=True)
    if "checkpoint=" in line:  # a name on a hub, which a test cannot reach
        words = [re.sub("checkpoint=.*", "checkpoint=tiny", word) for word in words]
    settings = parse(words)
    assert f"--space {settings.space}" in line or settings.space == "plasticity"


@pytest.mark.parametrize(
    ("command", "line"),
    re.findall(r"^    (?:.* \| )?python -m search\.(?!run|confirm)(\w+) (.*)$", README, re.MULTILINE),
)
def test_every_other_command_in_the_readme_is_understood(command: str, line: str) -> None:
    parser = importlib.import_module(f"search.{command}")._parser()
    assert parser.parse_args(shlex.split(line, comments=True))


def test_the_readme_names_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (project_file.ROOT / target).exists(), target
