from __future__ import annotations

import errno
import io
import os
from types import SimpleNamespace

import pytest
from rich.console import Console

from full_disk import full_disk
from search.display.progress import Display
from search.running import disk_space
from search.running.disk_space import PAUSE, DiskSpace, is_storage_error, lack_of_room
from search.runs.append_only import AppendOnlyFile
from search.settings.options import Settings


class Disk:
    """What the operating system says of a storage."""

    def __init__(self) -> None:
        self.free, self.flags, self.now = 10**9, 0, 0.0

    def statvfs(self, folder: object) -> SimpleNamespace:
        return SimpleNamespace(f_flag=self.flags, f_bavail=self.free, f_frsize=1)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    monkeypatch.setattr(disk_space.os, "statvfs", found.statvfs)
    return found


def test_without_room_no_trial_starts_and_that_is_said_once(settings: Settings, disk: Disk) -> None:
    shown = io.StringIO()
    space = DiskSpace(settings, Display(Console(file=shown, width=1000)), (), 1_000_000, lambda: disk.now)
    assert space.has_room()
    disk.free = space.needed - 1
    assert not any(space.has_room() for _ in range(5))
    assert shown.getvalue().count("no new trials until there is room") == 1
    assert f"python -m search.run --resume {settings.run_folder}" in shown.getvalue()
    disk.free = space.needed
    assert all(space.has_room() for _ in range(5))
    assert shown.getvalue().count("there is room again") == 1


def test_after_a_failed_write_trials_wait_though_there_seems_to_be_room(settings: Settings, disk: Disk) -> None:
    space = DiskSpace(settings, Display(Console(file=io.StringIO())), (), 0, lambda: disk.now)
    space.failed("No space left on device")
    assert not space.has_room()
    disk.now = PAUSE
    assert space.has_room()


def test_a_read_only_storage_has_no_room(settings: Settings, disk: Disk) -> None:
    disk.flags = os.ST_RDONLY
    assert lack_of_room(settings.run_folder, 0) == f"{settings.run_folder} is read-only"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_errors_of_a_storage_are_known_by_their_text(code: int) -> None:
    assert is_storage_error(f"Traceback ...\nOSError: {OSError(code, os.strerror(code))}")
    assert not is_storage_error("ValueError: the loss is nan")


def test_lines_of_logs_that_could_not_be_written_are_written_later_or_counted(settings: Settings, disk: Disk) -> None:
    file = AppendOnlyFile(settings.paths.trials)
    space = DiskSpace(settings, Display(Console(file=io.StringIO())), (file,), 0, lambda: disk.now)
    with full_disk(0):
        file.append("a")
        file.append("b")
        space.flush()
        assert not space.has_room()
        assert "2 lines of trials.jsonl could not be written" in (space.unwritten() or "")
    space.flush()
    assert space.unwritten() is None
    assert settings.paths.trials.read_text() == "a\nb\n"


def test_what_to_do_about_an_error_of_the_storage_is_said() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/a.flac")
    assert "free some space" in disk_space.next_step(full)
    assert disk_space.next_step(ValueError("the loss is nan")) == ""
