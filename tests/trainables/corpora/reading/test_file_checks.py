"""What is kept of audio files: nothing is read twice, and no change is missed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asvspoof_tree import make_tree
from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import content_hash
from trainables.corpora.reading import file_checks
from trainables.corpora.reading.file_checks import Verdict, check_files, kept_place
from trainables.errors import DropinError


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written count as old enough to be known again."""
    monkeypatch.setattr(file_checks, "SETTLED_NS", -(10**12))


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose contents are read, as they are."""
    names: list[str] = []

    def counted(path: Path) -> str:
        names.append(path.name)
        return content_hash(path)

    monkeypatch.setattr(file_checks, "content_hash", counted)
    return names


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "audio"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", np.full(100, number / 4), 16000)
    return [folder / f"{number}.wav" for number in range(3)]


def check(files: list[Path], **options: object) -> list[Verdict]:
    kept = files[0].parent.parent / "kept.arrow"
    return check_files(files, root=files[0].parent, may_follow=lambda path: False, kept=kept, **options)  # type: ignore[arg-type]


def test_a_note_on_a_file_is_kept(files: list[Path], read_files: list[str]) -> None:
    content = bytearray(files[1].read_bytes())
    content[40:44] = bytes(4)
    files[1].write_bytes(content)
    first = check(files)
    assert [verdict.note for verdict in first] == [
        "",
        "its header claims 0 bytes of samples, and it has 200; all of these are read",
        "",
    ]
    read_files.clear()
    assert check(files) == first
    assert not read_files


def test_files_are_read_once(files: list[Path], read_files: list[str]) -> None:
    calls: list[object] = []
    first = check(files, progress=lambda *call: calls.append(call))
    assert first == [Verdict(None, content_hash(path)) for path in files]
    assert calls == [("checking audio files", 3, 3)]
    assert check(files, progress=lambda *call: calls.append(call)) == first
    assert sorted(read_files) == ["0.wav", "1.wav", "2.wav"]
    assert len(calls) == 1


def replaced(path: Path) -> None:
    """Another file of the same size and time."""
    before = path.stat()
    new = path.with_name("new")
    soundfile.write(new, np.full(100, 0.9), 16000, format="WAV")
    assert new.stat().st_size == before.st_size
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(new, path)


def overwritten(path: Path) -> None:
    """The same file with other samples, and its time set back."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"xx")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_ino == before.st_ino


CHANGES: dict[str, Callable[[Path], object]] = {
    "replaced": replaced,
    "overwritten": overwritten,
    "touched": lambda path: os.utime(path, ns=(0, 12345)),
    "longer": lambda path: soundfile.write(path, np.zeros(200), 16000),
    "damaged": lambda path: path.write_bytes(b"x" * path.stat().st_size),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str, files: list[Path], read_files: list[str]) -> None:
    before = check(files)
    read_files.clear()
    CHANGES[change](files[1])
    after = check(files)
    assert (after[0], after[2]) == (before[0], before[2])
    gone = change in ("damaged", "deleted")
    assert read_files == ([] if gone else ["1.wav"])
    assert after[1][1] == ("" if gone else content_hash(files[1]))
    assert (after[1] == before[1]) == (change == "touched")
    assert (after[1][0] is not None) == gone


def test_files_that_changed_a_moment_ago_are_read_again(
    files: list[Path], read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_checks, "SETTLED_NS", 10**12)
    check(files)
    check(files)
    assert len(read_files) == 6


def test_faults_are_found_anew(files: list[Path]) -> None:
    content = files[1].read_bytes()
    files[1].write_bytes(b"")
    assert check(files)[1] == Verdict("is empty")
    files[1].write_bytes(content)
    assert check(files)[1] == Verdict(None, content_hash(files[1]))


@pytest.mark.parametrize("damage", ["truncated", "no Arrow", "another version", "other columns"])
def test_what_is_kept_is_made_anew_where_it_is_damaged(
    damage: str, files: list[Path], read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = files[0].parent.parent / "kept.arrow"
    with monkeypatch.context() as patch:
        if damage == "another version":
            patch.setattr(file_checks, "VERSION", b"0")
        if damage == "other columns":
            columns = {"odd" if name == "content" else name: kind for name, kind in file_checks._COLUMNS.items()}
            patch.setattr(file_checks, "_COLUMNS", columns)
        before = check(files)
    if damage == "truncated":
        kept.write_bytes(kept.read_bytes()[:-20])
    if damage == "no Arrow":
        kept.write_bytes(b"odd")
    read_files.clear()
    assert check(files) == before
    assert len(read_files) == 3
    assert check(files) == before
    assert len(read_files) == 3


def test_what_others_found_stays(files: list[Path], read_files: list[str]) -> None:
    check(files[:1])
    check(files[1:])
    check(files)
    assert len(read_files) == 3


def test_an_interrupted_pass_goes_on_where_it_was(
    files: list[Path], read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_checks, "_FILES_PER_TASK", 1)

    def interrupt(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(files, progress=interrupt)
    read_files.clear()
    check(files)
    assert read_files == ["2.wav"]


def test_a_cache_that_cannot_be_written_is_told(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DropinError, match=r"kept\.arrow cannot be written: no space left"):
        check(files)
    assert [path.name for path in files[0].parent.parent.iterdir()] == ["audio"]


@given(
    states=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.tuples(
            st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 3, st.integers(0, 2**64 - 1)),
            st.builds(Verdict, st.none(), st.text("0123456789abcdef"), st.text("ab ")),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_kept_comes_back(
    states: dict[str, tuple[tuple[int, int, int, int], Verdict]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = tmp_path_factory.getbasetemp() / "round" / "kept.arrow"
    file_checks._save(kept, states)
    assert file_checks._load(kept) == states


@given(names=st.sets(st.binary(min_size=1, max_size=6), min_size=1))
def test_any_names_can_be_kept_apart(names: set[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A backslash and two digits is the one name that another one could be taken for; the state tells these apart."""
    kept = tmp_path_factory.getbasetemp() / "names" / "kept.arrow"
    plain = {os.fsdecode(name) for name in names if b"\\" not in name}
    states = {file_checks._name(f"/root/{name}", "/root"): ((0, 0, 0, 0), Verdict(None)) for name in plain}
    assert len(states) == len(plain)
    if states:
        file_checks._save(kept, states)
        assert file_checks._load(kept) == states


def test_names_below_the_root_do_not_depend_on_it() -> None:
    assert file_checks._name("/a/b/c.wav", "/a") == file_checks._name("/x/y/b/c.wav", "/x/y") == "b/c.wav"
    assert file_checks._name("/ab/c.wav", "/a") == "/ab/c.wav"


def test_every_root_has_its_file(tmp_path: Path) -> None:
    places = {kept_place(tmp_path, name, root) for name in ("a", "b") for root in (Path("/x"), Path("/y"))}
    assert len(places) == 4
    assert {place.parent for place in places} == {tmp_path / "checked-files"}


def test_a_second_start_reads_no_audio(tmp_path: Path, read_files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = make_tree(tmp_path / "root"), tmp_path / "cache"
    before = asvspoof2019.read(root, cache=cache)
    assert len(read_files) == 6
    monkeypatch.setattr(soundfile, "SoundFile", None)
    after = asvspoof2019.read(root, cache=cache)
    assert after == before
    assert after.digest() == before.digest()
    assert len(read_files) == 6


def test_a_corpus_without_a_cache_is_the_same(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root")
    assert asvspoof2019.read(root).digest() == asvspoof2019.read(root, cache=tmp_path / "cache").digest()


def test_another_root_has_the_same_digest_and_another_file(tmp_path: Path) -> None:
    digests = {asvspoof2019.read(make_tree(tmp_path / name), cache=tmp_path / "cache").digest() for name in "ab"}
    assert len(digests) == 1
    assert len(list((tmp_path / "cache" / "checked-files").iterdir())) == 2
