"""Manifests: every fault with its line, and all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_trees import write_audio, write_lines
from full_disk import full_disk
from trainables.corpora import manifest
from trainables.corpora.corpus import CorpusError
from trainables.errors import DropinError

ROWS = [f"{split}-{kind}.wav,{kind},{split}," for split in ("train", "dev", "eval") for kind in ("bonafide", "spoof")]


def made(folder: Path, *more: str, columns: str = "path,label,split,attack") -> Path:
    """A manifest without faults, and more lines from line 8 on."""
    write_audio(*(folder / row.partition(",")[0] for row in ROWS))
    return write_lines(folder / "m.csv", [columns, *ROWS, *more])


def faults_of(path: Path, **more: object) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as info:
        manifest.read(path, **more)  # type: ignore[arg-type]
    return info.value.faults


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x.wav,spoof,train,", "m.csv:8: x.wav is missing"),
        ("train-spoof.wav,spoof,dev,", "m.csv:8: a file must have one line; got train-spoof.wav, which line 3 has"),
        ("./train-spoof.wav,spoof,train,", "m.csv:8: a file must have one line; got ./train-spoof.wav, which line 3"),
        (",spoof,train,", "m.csv:8: path must be the name of a file; got nothing"),
        (
            "x.wav,maybe,train,",
            "m.csv:8: label must be bonafide or spoof (also real or fake, 1 or 0); got 'maybe'",
        ),
        ("x.wav,spoof,trian,", "m.csv:8: split must be train, dev or eval (also validation, test); got 'trian'"),
        ("x.wav,spoof,,", "m.csv:8: split must be train, dev or eval (also validation, test); got ''"),
        ("x.wav,bonafide,train,A01", "m.csv:8: attack must be - or nothing for bona fide; got 'A01'"),
        ("a\x1b.wav,spoof,train,", r"m.csv:8: path must be text without control characters; got 'a\x1b.wav'"),
        ("x.wav,spoof,train,A\x07", r"m.csv:8: attack must be text without control characters; got 'A\x07'"),
        ("x.wav,spoof", "m.csv:8: 2 values; the header has 4"),
    ],
)
def test_one_fault_is_named_with_its_line(tmp_path: Path, line: str, fault: str) -> None:
    found = faults_of(made(tmp_path, line))
    assert found[0].startswith(fault)
    assert len(found) == 1


def test_all_faults_come_at_once_and_those_of_a_kind_are_one(tmp_path: Path) -> None:
    more = [f"x{number}.wav,what,train," for number in range(30)]
    found = faults_of(made(tmp_path, "y.wav,spoof,train,", "z.wav,spoof,none,", *more))
    assert len(found) == 3
    assert any("got 'what' (and 29 more lines like it)" in fault for fault in found)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("path,lable\n", "m.csv:1: must name the columns path and label; it has no label; got path, lable"),
        (
            "a.wav,spoof\n",
            "m.csv:1: must name the columns path and label; it has no path and no label; got a.wav, spoof",
        ),
        ("", "m.csv:1: must name the columns path and label; it has no path and no label; got nothing"),
        ("path,label\n", "m.csv: has no rows; add a line for each file"),
    ],
)
def test_a_table_that_is_no_manifest_is_one_fault(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "m.csv").write_text(content)
    assert faults_of(tmp_path / "m.csv") == (fault,)


def test_a_split_that_is_needed_and_not_there(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "dev-" not in line))
    assert len(manifest.read(path, splits=("train",)).splits["train"]) == 2
    (fault,) = faults_of(path)
    assert fault == (
        "m.csv: no line has the split dev or development or validation or valid or val: add some, or take the column "
        "away to have splits made"
    )
    (fault,) = faults_of(made(tmp_path, columns="path,label,room,attack"), split_shares=(1.0, 0.0, 0.0))
    assert "no utterance is in dev: give it a larger share by --split-shares" in fault


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "bonafide" not in line))
    assert [fault.partition(":")[0] for fault in faults_of(path)] == ["train", "dev", "eval"]


def test_what_is_given_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(DropinError, match=r"a manifest must be a file, one of \.csv.*got the folder"):
        manifest.read(tmp_path)
    assert faults_of(tmp_path / "none.csv")[0].startswith("none.csv: no such")


def test_a_full_disk_is_told_with_the_table_of_splits(tmp_path: Path) -> None:
    path = made(tmp_path, columns="path,label,room,attack")
    with pytest.raises(DropinError, match=r"\.parquet cannot be written: no space left .*--cache DIR"), full_disk(100):
        manifest.read(path, cache=tmp_path / "cache")
