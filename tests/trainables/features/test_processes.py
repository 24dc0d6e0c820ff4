"""Several processes compute the same features as one, in order; if one of them fails, an error is raised."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.features import windows
from trainables.features.extraction import extract
from trainables.features.processes import SLOTS_PER_PROCESS, in_processes
from trainables.features.windows import Extraction, Job

SAMPLES = 6400
TIMEOUT = 60.0


@dataclass(frozen=True)
class WorkersFirst(Extraction):
    """The calling process computes its first chunk only after the workers have computed `files` files."""

    marks: Path
    files: int

    def windows(self, path: Path, reach: int) -> np.ndarray:
        (self.marks / path.stem).touch()
        return super().windows(path, reach)

    def chunk(self, jobs: Sequence[Job]) -> list[np.ndarray | str]:
        deadline = time.monotonic() + TIMEOUT
        while len(list(self.marks.iterdir())) < self.files:
            assert time.monotonic() < deadline, "the workers do nothing"
            time.sleep(0.01)
        return super().chunk(jobs)


@dataclass(frozen=True)
class Failing(WorkersFirst):
    """A worker's first file ends in a `failure`: an error, or a signal that kills the process."""

    failure: str

    def windows(self, path: Path, reach: int) -> np.ndarray:
        (self.marks / path.stem).touch()
        if multiprocessing.parent_process() is None:
            return Extraction.windows(self, path, reach)
        if self.failure == "error":
            raise ZeroDivisionError("a test's error")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def record(folder: Path, files: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.wav" for number in range(files)]
    for number, path in enumerate(paths):
        soundfile.write(path, rng.uniform(-0.5, 0.5, SAMPLES + 700 * number), 16000)
    return paths


# Closed form


def test_chunks_are_bounded_in_files_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    extraction = Extraction("waveform", SAMPLES, SAMPLES // 4)
    assert extraction.row_bytes == 2 * SAMPLES
    assert extraction.most_windows(SAMPLES) == 1
    assert extraction.most_windows(3 * SAMPLES) == 9
    monkeypatch.setattr(windows, "CHUNK", 3)
    monkeypatch.setattr(windows, "CHUNK_BYTES", 20 * extraction.row_bytes)
    jobs = [(Path(str(n)), SAMPLES if n < 4 else 3 * SAMPLES) for n in range(9)]
    assert [len(chunk) for chunk in extraction.chunks(jobs)] == [3, 3, 2, 1]
    assert [job for chunk in extraction.chunks(jobs) for job in chunk] == jobs
    monkeypatch.setattr(windows, "CHUNK_BYTES", 1)
    assert [len(chunk) for chunk in extraction.chunks(jobs)] == [1] * 9
    assert extraction.chunks([]) == []


# Round trip


def test_processes_compute_the_same_as_one(tmp_path: Path, marks: Path) -> None:
    paths = record(tmp_path, 4 * SLOTS_PER_PROCESS)
    paths[5].write_bytes(b"no audio")
    jobs = [(path, SAMPLES * (1 + number % 2)) for number, path in enumerate(paths)]
    expected = list(extract(jobs, Extraction("log_mel", SAMPLES, 1600), 1))
    extraction = WorkersFirst("log_mel", SAMPLES, 1600, marks, SLOTS_PER_PROCESS)
    found = [(rows, np.array(rows)) for rows in in_processes([[job] for job in jobs], extraction, 2)]
    assert len(found) == len(expected) == len(paths)
    assert {len(rows) for rows in expected if not isinstance(rows, str)} == {1, 2, 3, 5}
    for number, (rows, copied_at_once) in enumerate(found):
        assert np.array_equal(rows, expected[number])
        assert np.array_equal(rows, copied_at_once), "yielded rows are overwritten"
        assert isinstance(rows, str) == (number == 5)
    assert "5.wav" in str(expected[5])


# Failures


def test_an_error_in_a_process_is_raised_here(tmp_path: Path, marks: Path) -> None:
    chunks = [[(path, SAMPLES)] for path in record(tmp_path, 4)]
    with pytest.raises(ZeroDivisionError, match="a test's error"):
        list(in_processes(chunks, Failing("waveform", SAMPLES, SAMPLES, marks, 1, "error"), 2))
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_raises(tmp_path: Path, marks: Path) -> None:
    chunks = [[(path, SAMPLES)] for path in record(tmp_path, 4)]
    with pytest.raises(RuntimeError, match="a process that computes features died"):
        list(in_processes(chunks, Failing("waveform", SAMPLES, SAMPLES, marks, 1, "death"), 2))
    assert not multiprocessing.active_children()


def test_closing_the_generator_ends_processes_that_start(tmp_path: Path, marks: Path) -> None:
    chunks = [[(path, SAMPLES)] for path in record(tmp_path, 8)]
    found = in_processes(chunks, WorkersFirst("waveform", SAMPLES, SAMPLES, marks, 0), 2)
    next(found)
    found.close()
    assert not multiprocessing.active_children()
