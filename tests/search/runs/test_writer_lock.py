from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from project_file import ROOT
from search.runs.writer_lock import writer_lock
from trainables.errors import DropinError
from trainables.storage.run_paths import WRITER_LOCK

HOLD = """
import sys
from pathlib import Path
from search.runs.writer_lock import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_until_the_first_one_has_ended_however_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(DropinError, match="a run has one writer; another process writes"), writer_lock(folder, 0.1):
            pytest.fail("two processes write the run")
        first.kill()
        with writer_lock(folder):
            assert (folder / WRITER_LOCK).exists()


def test_a_folder_has_one_writer_after_the_other(tmp_path: Path) -> None:
    for _ in range(2):
        with writer_lock(tmp_path, 0.0), pytest.raises(DropinError), writer_lock(tmp_path, 0.0):
            pytest.fail("it has two writers at once")
