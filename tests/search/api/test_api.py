"""What `search` offers to programs: its examples run, it is imported late, and it refuses what the commands refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import finished_run
import search
from detectors import saved_detector
from project_file import HELPERS, ROOT
from search import DropinError, Settings, load_detector, open_run, run_search
from search.api.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was made by hand, without Ray."""
    return open_run(finished_run.make(tmp_path_factory.mktemp("made")))


def test_the_examples_of_the_docstrings_run(tmp_path: Path, corpus_cache: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HELPERS / "run_examples.py"), str(tmp_path), str(corpus_cache)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_search_imports_nothing_else() -> None:
    code = "import sys, search; sys.exit(bool({'numpy', 'torch', 'ray', 'optuna', 'pyarrow', 'rich'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_all_that_is_offered_is_there() -> None:
    assert set(search.__all__) <= set(dir(search))
    assert all(getattr(search, name).__doc__ for name in search.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        search.nothing  # noqa: B018


def test_front_and_trials_are_tables(run: Run) -> None:
    front, trials = run.front, run.trials
    assert front.table.column("number").to_pylist() == [
        member.record.number for member in front.members if member.record
    ]
    assert front.table.column("size").to_pylist() == sorted(front.table.column("size").to_pylist())
    assert trials.column("number").to_pylist() == list(range(6))
    assert trials.column("state").to_pylist() == ["COMPLETE"] * 4 + ["FAIL", "PRUNED"]
    assert [member.eer for member in front.members] == front.table.column("eer").to_pylist()


def test_an_export_holds_what_it_returns(run: Run, tmp_path: Path) -> None:
    entries = run.export(tmp_path / "front")
    members = [entry for entry in entries if entry.folder is not None]
    for entry in members:
        assert load_detector(tmp_path / "front" / str(entry.folder)).size == entry.size
    page = run.report(tmp_path / "page.html", front=tmp_path / "front")
    assert page == tmp_path / "page.html"
    with pytest.raises(DropinError, match=r"ends in \.html"):
        run.report(tmp_path / "page.pdf")


def test_a_waveform_scores_as_a_file_of_its_samples(tmp_path: Path) -> None:
    detector = load_detector(saved_detector(tmp_path / "one"))
    for rate, channels in ((16_000, 1), (44_100, 2)):
        samples = 0.1 * np.random.default_rng(rate).standard_normal((3 * rate, channels))
        path = tmp_path / f"{rate}.wav"
        soundfile.write(path, samples, rate, subtype="FLOAT")
        (scored,) = detector.score([path])
        assert scored.score == pytest.approx(detector.score_array(samples.astype(np.float32), rate), abs=1e-5)
        if channels == 1:
            assert detector.score_array(samples[:, 0], rate) == pytest.approx(scored.score, abs=1e-5)


@pytest.mark.parametrize(
    ("waveform", "rate", "said"),
    [
        (np.zeros(0), 16_000, "is empty"),
        (np.zeros((2, 2, 2)), 16_000, "must be \\[samples\\]"),
        (np.array([0.0, np.nan]), 16_000, "NaN"),
        (np.zeros(100), 10, "10 Hz"),
    ],
)
def test_waveforms_that_cannot_be_used(waveform: np.ndarray, rate: int, said: str, tmp_path: Path) -> None:
    detector = load_detector(saved_detector(tmp_path / "one"))
    with pytest.raises(DropinError, match=said):
        detector.score_array(waveform, rate)


def test_what_a_user_did_wrong_is_one_error(run: Run, tmp_path: Path) -> None:
    taken = Settings(storage=run.folder.parent, name=run.folder.name, cache=tmp_path)
    with pytest.raises(DropinError, match="--name must be new"):
        run_search(taken)
    with pytest.raises(DropinError, match="a run is a folder"):
        open_run(tmp_path)
    with pytest.raises(DropinError, match="cannot be read"):
        load_detector(tmp_path / "nothing")
    with pytest.raises(DropinError, match="keeps its settings; got --seed"):
        run.resume(seed=7)
