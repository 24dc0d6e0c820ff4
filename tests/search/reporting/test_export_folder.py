from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from search.reporting.export_folder import MARKER, atomic_folder, check
from trainables.errors import DropinError


def write(target: Path, text: str = "one") -> None:
    with atomic_folder(target, {"run": text}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / text).write_text(text)


def test_a_folder_is_written_atomically_with_a_list_of_its_files(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with atomic_folder(target, {"run": "x"}) as folder:
        (folder / "file").write_text("text")
        assert not target.exists()
    assert json.loads((target / MARKER).read_text()) == {"run": "x", "files": ["file"]}
    assert (target / "file").read_text() == "text"
    assert target.stat().st_mode & 0o777 == 0o755
    assert list(target.parent.iterdir()) == [target]


def test_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "front"
    target.mkdir()
    write(target, "one")
    write(target, "two")
    assert sorted(path.name for path in target.rglob("*")) == ["deep", MARKER, "two"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "front"
    write(target)

    def fail() -> None:
        with atomic_folder(target, {}) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (target / "deep" / "one").read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("marker", [None, "not JSON", "[]", '{"files": 3}'])
def test_a_folder_with_other_files_is_refused(marker: str | None, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    with pytest.raises(ValueError, match="has other files"):
        check(tmp_path)
    with pytest.raises(ValueError, match="has other files"):
        write(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_files_added_to_an_export_are_not_deleted(tmp_path: Path) -> None:
    target = tmp_path / "front"
    write(target)
    (target / "deep" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"also has deep/notes\.txt"):
        write(target)
    (target / "deep" / "notes.txt").unlink()
    write(target)


def test_files_added_during_an_export_are_not_deleted(tmp_path: Path) -> None:
    target = tmp_path / "front"

    def late() -> None:
        with atomic_folder(target, {}):
            target.mkdir()
            (target / "late.txt").write_text("mine")

    with pytest.raises(ValueError, match="has other files"):
        late()
    assert (target / "late.txt").read_text() == "mine"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="is a file"):
            check(target)


def test_a_folder_that_may_not_be_entered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, how: "closed" not in Path(path).parts)  # to root none is closed
    with pytest.raises(DropinError, match=r"can be read and written; .*closed is not: choose another"):
        check(tmp_path / "closed" / "front")
