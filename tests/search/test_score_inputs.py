"""What ``search.score`` takes: folders, patterns, lists, pipes and standard input."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import recordings
from detectors import saved_detector
from recordings import LENGTHS, answer, files
from search.score import main
from search.scoring.sources import Sources


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each of `LENGTHS`."""
    return recordings.make(tmp_path_factory.mktemp("audio"))


def test_folders_patterns_and_lists(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(saved_detector(tmp_path / "detector"))
    (tmp_path / "list").write_text("\n".join([*files(audio)[:2], "", str(audio / "l*g.flac"), str(tmp_path)]) + "\n")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "more.WAV").write_bytes((audio / "exact.flac").read_bytes())
    (tmp_path / "some" / "._more.wav").write_text("of an archive")
    (tmp_path / "some" / "more.txt").write_text("no audio")
    expected = [*files(audio)[:2], str(audio / "long.flac"), str(tmp_path / "some" / "more.WAV")]
    assert [one["file"] for one in answer(capsys, place, "--list", str(tmp_path / "list"))] == expected
    mixed = answer(capsys, place, "--windows", "first", files(audio)[0], "--workers", "1", files(audio)[1])
    assert [one["file"] for one in mixed] == expected[:2]
    (tmp_path / "none").mkdir()
    assert main([place, str(audio), str(tmp_path / "none"), str(tmp_path / "no*thing")]) == 1
    shown = capsys.readouterr()
    assert "none holds no audio file" in shown.err
    assert "no*thing is missing; as a pattern it matches no file" in shown.err
    assert shown.err.endswith("2 of 6 could not be scored\n")
    assert main([place, "--list", str(tmp_path / "nowhere")]) == 2
    assert "--list must be a file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([place])
    assert "name files" in capsys.readouterr().err


def test_a_folder_in_a_folder_that_may_not_be_entered_is_one_line(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may enter all: what another user is told is pretended."""
    (tmp_path / "heard" / "closed").mkdir(parents=True)
    for name in files(audio):
        Path(tmp_path / "heard" / Path(name).name).write_bytes(Path(name).read_bytes())
    real = os.scandir

    def scandir(path: Any) -> Any:
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert main([str(saved_detector(tmp_path / "detector")), str(tmp_path / "heard")]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"{tmp_path}/heard/closed cannot be read (Permission denied)",
        f"1 of {len(LENGTHS) + 1} could not be scored",
    ]


@contextmanager
def standard_input(content: bytes) -> Iterator[None]:
    """Within it the standard input is a pipe with this content."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)

    def write() -> None:
        with open(writing, "wb") as pipe:
            pipe.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()
    os.dup2(before, 0)
    os.close(before)


def test_pipes_and_standard_input_are_heard_to_their_end(
    audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, name = str(saved_detector(tmp_path / "detector")), str(audio / "other.flac")
    (expected,) = answer(capsys, place, name)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(Path(name).read_bytes()))
    writer.start()
    (found,) = answer(capsys, place, str(tmp_path / "pipe"))
    writer.join()
    assert found == {**expected, "file": str(tmp_path / "pipe")}
    with standard_input(Path(name).read_bytes()):
        assert answer(capsys, place, "-") == [{**expected, "file": "/dev/stdin"}]
    with standard_input(f"{name}\n".encode()):
        assert answer(capsys, place, "--list", "-") == [expected]
    with open(name, "rb") as file, Sources() as sources:
        source = sources.source(f"/dev/fd/{file.fileno()}")  # under which another process finds another file
        assert source.path.read_bytes() == Path(name).read_bytes()
        assert not str(source.path).startswith("/dev/")
        sources.release(source)
        assert not source.path.exists()
    assert main([place, "/dev/null"]) == 1
    assert "/dev/null is no file and no pipe" in capsys.readouterr().err
