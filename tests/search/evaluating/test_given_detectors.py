from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from detectors import saved_detector
from search.evaluating.detectors import find_detectors, short_names
from trainables.errors import DropinError
from trainables.storage.checkpoint import weights_digest


@pytest.fixture
def front(tmp_path: Path) -> Path:
    """Three detectors as an export has them."""
    for number in (10, 0, 9):
        saved_detector(tmp_path / "front" / "detectors" / str(number), run="one", number=number + 20)
    (tmp_path / "front" / "export.json").write_text("{}")
    return tmp_path / "front"


def test_a_front_stands_for_its_detectors_in_their_order(front: Path) -> None:
    found = find_detectors([str(front)])
    assert [one.name for one in found] == [f"{front}/detectors/{number}" for number in (0, 9, 10)]
    assert [one.trial for one in found] == [20, 29, 30]
    for one in found:
        assert one.sha256 == weights_digest(Path(one.name))
        assert (one.run, one.threshold, one.calibrated, one.trained_on) == ("one", 0.0, False, "")


def test_a_detector_may_be_anywhere_and_its_name_is_that_which_was_given(
    front: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(front.parent)
    place = saved_detector(front.parent / "other").as_uri()
    found = find_detectors(["front/detectors/0", place, f"{front.as_uri()}/"])
    names = ["front/detectors/0", place, *(f"{front.as_uri()}/detectors/{number}" for number in (0, 9, 10))]
    assert [one.name for one in found] == names
    assert found[0].sha256 == found[2].sha256


def test_what_is_known_of_a_detector_is_on_its_card(tmp_path: Path) -> None:
    place = saved_detector(
        tmp_path / "one",
        threshold=0.25,
        corpus={"name": "asvspoof2019-la", "digest": "0a"},
        calibration={"slope": 1.0, "intercept": 0.0, "prior": 0.5},
        number="7",
    )
    (one,) = find_detectors([place])
    assert (one.run, one.trial, one.threshold) == (None, None, 0.25)
    assert (one.calibrated, one.trained_on) == (True, "asvspoof2019-la")


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["front/detectors/0", "front/detectors/10"], ["0", "10"]),
        (["a/detectors/0", "b/detectors/0"], ["a/detectors/0", "b/detectors/0"]),
        (["front/detectors/0"], ["front/detectors/0"]),
        (["front", "front/detectors/0"], ["front", "front/detectors/0"]),
        (["s3://b/x/1", "s3://b/y/1"], ["x/1", "y/1"]),
        (["/a/1", "/a/12"], ["1", "12"]),
    ],
)
def test_names_are_short_where_they_begin_alike(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short


def test_what_is_no_detector_is_told(front: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text(json.dumps({}))
    (tmp_path / "empty").mkdir()
    for given, said in (
        ([], "got none: name one"),
        ([front, front], "must be given once"),
        ([front, front / "detectors" / "0"], "detectors/0 more often"),
        ([tmp_path / "run"], "is a run: export it by"),
        ([tmp_path / "empty"], "has neither: correct the path"),
        ([tmp_path / "missing"], "has neither: correct the path"),
        ([(tmp_path / "missing").as_uri()], "cannot be read"),
    ):
        with pytest.raises(DropinError, match=said):
            find_detectors(given)


def test_a_damaged_detector_of_a_front_and_a_front_without_any_are_told(front: Path) -> None:
    weights = front / "detectors" / "9" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DropinError, match="is damaged"):
        find_detectors([front])
    shutil.rmtree(front / "detectors")
    with pytest.raises(DropinError, match="has no detectors"):
        find_detectors([front])
