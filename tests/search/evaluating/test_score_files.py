from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from search.evaluating import score_files
from search.evaluating.scores import SplitScores
from trainables.corpora.corpus import Utterance
from trainables.errors import DropinError

SCORES = [[1.5, 0.1 + 0.2, np.nan], [-1e-7, 2.0, 3.0]]


def found(names: Sequence[str] = ("LA_E_1", "LA_E_2", "LA_E_3")) -> SplitScores:
    utterances = [
        Utterance(name, Path("x"), int(place == 0), "-", "-" if place == 0 else "A07")
        for place, name in enumerate(names)
    ]
    return SplitScores(utterances, np.array([1, 0, 0]), np.array(SCORES))


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("2019", ["LA_E_1 - bonafide 1.5", "LA_E_2 A07 spoof 0.30000000000000004"]),
        ("2021", ["LA_E_1 1.5", "LA_E_2 0.30000000000000004"]),
        ("5", ["filename\tcm-score", "LA_E_1\t1.5", "LA_E_2\t0.30000000000000004"]),
    ],
)
def test_the_forms_of_the_challenges(form: str, lines: Sequence[str], tmp_path: Path) -> None:
    """A score reads as the same number again, and what has none has no line."""
    path = tmp_path / "deep" / "scores.txt"
    score_files.write_scores(path, found(), 0, form)
    assert path.read_text() == "".join(f"{line}\n" for line in lines)
    assert [one.name for one in path.parent.iterdir()] == ["scores.txt"]


def test_several_detectors_have_a_file_each(tmp_path: Path) -> None:
    paths = score_files.write_all(tmp_path / "scores", found(), ["a/detectors/0", "s3://b/0"], "5", folder=False)
    assert [path.name for path in paths] == ["a-detectors-0.tsv", "s3-b-0.tsv"]
    assert paths[1].read_text().splitlines()[1:] == ["LA_E_1\t-1e-07", "LA_E_2\t2.0", "LA_E_3\t3.0"]
    alike = score_files.write_all(tmp_path / "alike", found(), ["a/b", "a-b"], "2021", folder=False)
    assert [path.name for path in alike] == ["0-a-b.txt", "1-a-b.txt"]
    (alone,) = score_files.write_all(tmp_path / "one.txt", found(), ["x"], "2021", folder=False)
    assert alone == tmp_path / "one.txt"


def test_names_with_blanks_need_tabs_between_the_columns(tmp_path: Path) -> None:
    blanks = found(["my file.wav", "b", "c"])
    for form in ("2019", "2021"):
        with pytest.raises(DropinError, match=r"got 'my file\.wav': write them by --scores-format 5"):
            score_files.write_scores(tmp_path / "scores.txt", blanks, 0, form)
    score_files.write_scores(tmp_path / "scores.tsv", blanks, 0, "5")
    assert "my file.wav\t1.5" in (tmp_path / "scores.tsv").read_text()
    with pytest.raises(DropinError, match="one of 2019, 2021, 5; got '2020'"):
        score_files.check_names([], "2020")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    mine = tmp_path / "protocol.txt"
    mine.write_text("precious")
    with pytest.raises(DropinError, match="must be a new file"):
        score_files.check_target(mine, folder=False)
    with pytest.raises(DropinError, match="must be a new or empty folder"):
        score_files.check_target(tmp_path, folder=True)
    with pytest.raises(DropinError, match="must be a new file"):
        score_files.check_target(tmp_path, folder=False)
    with pytest.raises(DropinError, match="a folder that can be written"):
        score_files.check_target(mine / "scores.txt", folder=False)
    (tmp_path / "empty").mkdir()
    score_files.check_target(tmp_path / "empty", folder=True)
    score_files.check_target(tmp_path / "new" / "scores.txt", folder=False)
