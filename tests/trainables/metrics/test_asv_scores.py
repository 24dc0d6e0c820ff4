"""The reader of the organisers' ASV scores: both forms, faults with their lines, files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from asv_score_files import METADATA_2021, SCORES_2021, write_2021
from trainables.metrics.asv_scores import read_asv_scores


def test_reads_the_organisers_columns_and_longer_lines(tmp_path: Path) -> None:
    path = tmp_path / "ASVspoof2019.LA.asv.dev.gi.trl.scores.txt"
    path.write_text(
        "bonafide target 4.5\nbonafide nontarget -2e-1\n\nA07  spoof\t-1.25\nLA_0069 LA_D_1047731 - bonafide target 3\n"
    )
    found = read_asv_scores(path)
    assert found.target.tolist() == [4.5, 3.0]
    assert found.nontarget.tolist() == [-0.2]
    assert found.spoof.tolist() == [-1.25]
    assert found.challenge == 2019


def test_every_faulty_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text("bonafide target 1\ntarget 1\nbonafide imposter 1\nA07 spoof x\nA07 spoof nan\n")
    with pytest.raises(ValueError, match="SOURCE KEY SCORE") as caught:
        read_asv_scores(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{number}" for number in (2, 3, 4, 5)]
    assert "'imposter'" in lines[1]
    assert "'x'" in lines[2]


def test_many_faults_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text("A07 spoof x\n" * 50)
    with pytest.raises(ValueError, match="and 30 more faults"):
        read_asv_scores(path)


@pytest.mark.parametrize("content", [None, b"", b"bonafide target 1\nA07 spoof 0\n", b"\xff\xfe\x00"])
def test_missing_empty_or_one_sided_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "scores.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"scores\.txt"):
        read_asv_scores(path)


def test_reads_the_verifications_of_a_subset_of_2021(tmp_path: Path) -> None:
    path = write_2021(tmp_path, SCORES_2021, METADATA_2021)
    found = read_asv_scores(path)
    assert (found.target.tolist(), found.nontarget.tolist(), found.spoof.tolist()) == ([4.5], [0.1], [-2])
    assert found.challenge == 2021
    whole = read_asv_scores(path, subset="all")
    assert (whole.target.tolist(), whole.spoof.tolist()) == ([4.5, 0], [-2, 9])
    with pytest.raises(ValueError, match="no line of subset progress has the key 'target'"):
        read_asv_scores(path, subset="progress")


@pytest.mark.parametrize(
    ("scores", "metadata", "faults"),
    [
        (SCORES_2021[:-1], METADATA_2021, ["must list the same verifications; they have 4 and 5 lines"]),
        (["LA_0001 LA_E_2 4", *SCORES_2021[1:]], METADATA_2021, [":1: expected SPEAKER FILE SCORE, and 8 columns"]),
        (
            ["LA_0001 LA_E_1 x", SCORES_2021[1], "LA_0002 LA_E_1", *SCORES_2021[3:]],
            METADATA_2021,
            [":1: score must be a finite number; got 'x'", ":3: expected SPEAKER FILE SCORE"],
        ),
        (SCORES_2021, [METADATA_2021[0].replace("target", "imposter"), *METADATA_2021[1:]], [":1: key must be one of"]),
    ],
)
def test_faults_of_2021_are_named(tmp_path: Path, scores: list[str], metadata: list[str], faults: list[str]) -> None:
    path = write_2021(tmp_path, scores, metadata)
    with pytest.raises(ValueError, match="score") as caught:
        read_asv_scores(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert fault in line
        assert str(path) in line


def test_keys_of_2021_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = write_2021(tmp_path, SCORES_2021, METADATA_2021)
    (path.parent.parent / "trial_metadata.txt").unlink()
    with pytest.raises(ValueError, match=r"cannot be read from .*trial_metadata\.txt"):
        read_asv_scores(path)
