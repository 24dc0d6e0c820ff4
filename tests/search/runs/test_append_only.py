"""Files of lines: each is there whole or not at all, on a full disk and after a process that died."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from full_disk import full_disk
from search.runs import append_only
from search.runs.append_only import AppendOnlyFile, append_whole, drop_cut_off_line
from search.runs.record import Record
from search.runs.trial_log import TrialLog, read
from search.tuning.journal import SingleWriterBackend
from search.tuning.scheduler import HalvingScheduler


def begun_log(folder: Path) -> tuple[AppendOnlyFile, Callable[[], object]]:
    log = TrialLog(folder / "log")
    log.append(Record(0, "FAIL", None, {}))
    return log.file, lambda: log.append(Record(1, "FAIL", None, {}, error="why " * 99))


def begun_journal(folder: Path) -> tuple[AppendOnlyFile, Callable[[], object]]:
    backend = SingleWriterBackend(folder / "log")
    backend.append_logs([{"op_code": 0}])
    return backend.file, lambda: backend.append_logs([{"op_code": 1, "why": "why " * 99}])


def begun_rungs(folder: Path) -> tuple[AppendOnlyFile, Callable[[], object]]:
    scheduler = HalvingScheduler(("eer",), folder / "log")
    result = {"epoch": 2, "epochs": 4, "last_change": 0, "last_cut": 0, "eer": 0.5, "work_done": 0.0}
    trial: Any = SimpleNamespace(config={"number": 0})
    scheduler.on_trial_result(None, trial, result)
    return scheduler.file, lambda: scheduler.on_trial_result(None, trial, result)


@pytest.mark.parametrize("begun", [begun_log, begun_journal, begun_rungs])
@pytest.mark.parametrize("room", [0, 1, 9])
def test_what_a_full_disk_cannot_take_leaves_no_half_line(begun: Any, room: int, tmp_path: Path) -> None:
    file, more = begun(tmp_path)
    before = file.path.read_bytes()
    with full_disk(len(before) + room):
        more()
        assert isinstance(file.flush(), OSError)
    assert file.path.read_bytes() == before
    assert file.flush() is None
    lines = file.path.read_bytes().splitlines(keepends=True)
    assert lines[0] == before
    assert [line[-1:] for line in lines] == [b"\n", b"\n"]


@pytest.mark.parametrize("room", range(8))
def test_lines_that_do_not_fit_are_written_when_there_is_room(room: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = AppendOnlyFile(path)
    assert file.append("one") is None
    with full_disk(4 + room):
        assert (file.append("two") is None) == (room >= 4)
    with full_disk(path.stat().st_size):
        error = file.append("three")
        assert error is not None
        assert error.errno == errno.EFBIG
        assert file.unwritten == (1 if room >= 4 else 2)
    assert path.read_text().splitlines() == (["one", "two"] if room >= 4 else ["one"])
    assert file.flush() is None
    assert file.unwritten == 0
    assert path.read_text() == "one\ntwo\nthree\n"


def test_what_cannot_be_brought_to_the_disk_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError("Input/output error")

    log = TrialLog(tmp_path / "log")
    with monkeypatch.context() as patched:
        patched.setattr(append_only, "os", SimpleNamespace(fsync=broken, SEEK_END=os.SEEK_END))
        log.append(Record(0, "FAIL", None, {}))
    assert list(read(log.path)) == []
    log.append(Record(1, "FAIL", None, {}))
    assert list(read(log.path)) == [0, 1]


def test_a_signal_in_the_middle_of_a_line_leaves_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    log = TrialLog(tmp_path / "log")
    with monkeypatch.context() as patched:
        patched.setattr(append_only, "os", SimpleNamespace(fsync=interrupted, SEEK_END=os.SEEK_END))
        with pytest.raises(KeyboardInterrupt):
            log.append(Record(0, "FAIL", None, {}))
    assert log.path.read_bytes() == b""
    assert log.file.flush() is None
    assert list(read(log.path)) == [0]


@given(whole=st.lists(st.binary(max_size=5).map(lambda line: line.replace(b"\n", b"")), max_size=3), cut=st.binary())
def test_a_line_that_was_cut_off_is_removed_before_the_next_one(
    whole: list[bytes], cut: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, lines = tmp_path_factory.mktemp("lines") / "log", b"".join(line + b"\n" for line in whole)
    path.write_bytes(lines + cut.replace(b"\n", b""))
    append_whole(path, b"next\n")
    assert path.read_bytes() == lines + b"next\n"


@pytest.mark.parametrize("begin", [b"", b"first\n", b"first\n\n"])
def test_a_long_line_that_was_cut_off_is_removed(begin: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(begin + b"x" * (2 * append_only.BLOCK + 7))
    drop_cut_off_line(path)
    assert path.read_bytes() == begin
    drop_cut_off_line(tmp_path / "none")
    assert not (tmp_path / "none").exists()
