from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.runs import append_only
from search.runs.append_only import AppendOnlyFile, append_whole

LINES = st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=20), max_size=8)


class Full:
    """A disk that takes so many bytes more, and then fails as the operating system does."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, number: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = bytes(data)[: self.room]
        self.room -= len(taken)
        return os.write(number, taken)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Full:
    full = Full(10**9)
    monkeypatch.setattr(append_only, "write", full.write)
    return full


@given(lines=LINES)
def test_lines_are_read_back_in_their_order(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lines") / "log"
    file = AppendOnlyFile(path, sync=True)
    assert [file.append(line) for line in lines] == [None] * len(lines)
    assert (path.read_bytes().decode().split("\n")[:-1] if lines else []) == lines


def test_what_does_not_fit_leaves_no_part_of_it(tmp_path: Path, disk: Full) -> None:
    path = tmp_path / "log"
    append_whole(path, b"first\n")
    disk.room = 3
    with pytest.raises(OSError, match="No space left"):
        append_whole(path, b"second\n")
    assert path.read_bytes() == b"first\n"


@pytest.mark.parametrize("room", range(8))
def test_lines_that_do_not_fit_are_written_when_there_is_room(room: int, tmp_path: Path, disk: Full) -> None:
    path = tmp_path / "log"
    file = AppendOnlyFile(path)
    assert file.append("one") is None
    disk.room = room
    assert (file.append("two") is None) == (room >= 4)
    disk.room = 0
    error = file.append("three")
    assert error is not None
    assert error.errno == errno.ENOSPC
    assert file.unwritten == (1 if room >= 4 else 2)
    assert path.read_text().splitlines() == (["one", "two"] if room >= 4 else ["one"])
    disk.room = 10**9
    assert file.flush() is None
    assert file.unwritten == 0
    assert path.read_text() == "one\ntwo\nthree\n"


def test_a_line_that_was_cut_off_is_removed_before_anything_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"a": 1}\n{"a": ')
    AppendOnlyFile(path).append('{"a": 2}')
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n'
