from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import evaluated_front
from search.reporting.evaluations import CorpusEvaluation, EvaluatedCorpus, EvaluatedDetector, Measures
from search.reporting.side_by_side import Cell, side_by_side
from search.runs.members import StoredRun
from search.settings.options import Settings
from trainables.errors import DropinError
from trainables.storage.checkpoint import WEIGHTS, weights_digest


def row(name: str, size: int, *, role: str = "front", trial: int | None = None, **more: Any) -> dict[str, Any]:
    eers = dict.fromkeys(f"eer_{split}{end}" for split in ("dev", "eval") for end in ("", "_low", "_high"))
    about = {"role": role, "name": name, "size": size, "trial": trial, "recipe": name if role == "recipe" else None}
    return {**about, **eers, "eer_dev": 0.25, **more}


ROWS = [
    row("0", 10, trial=7, eer_dev_low=0.125, eer_dev_high=0.5, eer_eval=0.375),
    row("1", 30, trial=3),
    row("paper", 20, role="recipe", trial=0),
    row("base", 40, role="base"),
]


@dataclass
class Place:
    """Folders of a run and an export, with weights that are nothing but different."""

    folder: Path
    run: StoredRun
    front: Path = field(init=False)

    def __post_init__(self) -> None:
        self.front = self.folder / "front"
        for number, one in enumerate(self.detectors.values()):
            one.mkdir(parents=True)
            (one / WEIGHTS).write_bytes(bytes([number]))

    @property
    def detectors(self) -> Mapping[str, Path]:
        members = {name: self.front / "detectors" / name for name in ("0", "1")}
        return {**members, "paper": self.run.paths.detector(0), "base": self.run.paths.base}

    def evaluation(self, folder: str, *names: str, eer: float | None = 0.5, **corpus: Any) -> Path:
        nothing = dict.fromkeys(
            ("min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf", "misses", "false_alarms", "hter")
        )
        measures = Measures(eer=eer, interval=None, bonafide=1, spoof=1, **nothing)
        detectors = tuple(
            EvaluatedDetector(name, weights_digest(self.detectors[name]), 10, None, None, 0.0, measures, {})
            for name in names
        )
        windows = corpus.pop("windows", "first")
        about = EvaluatedCorpus(**{"name": "wild", "digest": "0", "note": "", "split": "eval", **corpus})
        return evaluated_front.write(CorpusEvaluation(about, windows, detectors), self.folder / folder)


@pytest.fixture
def place(tmp_path: Path, settings: Settings) -> Place:
    return Place(tmp_path, StoredRun(tmp_path / "run", settings, {}, ()))


def test_detectors_are_matched_by_their_weights(place: Place) -> None:
    folders = [place.evaluation("a", "paper", "1"), place.evaluation("b", "0", split="dev", note="simulated")]
    found = side_by_side(place.run, place.front, ROWS, folders)
    assert [(one.name, one.trial, one.recipe, one.on_front) for one in found.detectors] == [
        ("0", 7, None, True),
        ("paper", 0, "paper", False),
        ("1", 3, None, True),
    ]  # the base is in no evaluation
    assert [one.name for one in found.members] == ["0", "1"]
    assert [one.name for one in found.columns] == ["dev", "eval", "wild eval", "wild dev"]
    dev, own_eval, wild, second = found.columns
    assert dev.cells == {"0": Cell(0.25, (0.125, 0.5)), **dict.fromkeys(("1", "paper", "base"), Cell(0.25))}
    assert own_eval.cells == {"0": Cell(0.375)}
    assert wild.cells == {"paper": Cell(0.5), "1": Cell(0.5)}
    assert (second.cells, second.note) == ({"0": Cell(0.5)}, "simulated")


def test_without_evaluations_no_detector_is_read(place: Place) -> None:
    found = side_by_side(place.run, place.folder / "nowhere", [ROWS[0], ROWS[3]], [])
    assert [one.name for one in found.detectors] == ["0"]


def test_a_detector_that_has_only_one_class_has_no_cell(place: Place) -> None:
    found = side_by_side(place.run, place.front, ROWS, [place.evaluation("a", "0", eer=None)])
    assert [one.name for one in found.columns] == ["dev", "eval", "wild eval"]
    assert found.columns[2].cells == {}
    assert set(found.columns[2].evaluated) == {"0"}


def test_every_column_has_a_name_that_tells_it_apart(place: Place) -> None:
    folders = [
        place.evaluation("a", "0"),
        place.evaluation("b", "0"),
        place.evaluation("a/b", "0"),
        place.evaluation("c", "0", windows="all"),
        place.evaluation("d", "0", name="asvspoof2021-la", subset="progress"),
        place.evaluation("e", "0", name="asvspoof2021-df", subset="eval"),
        place.evaluation("calls", "0", name="manifest"),
        place.evaluation("f", "0", name="x" * 100),
        place.evaluation("g", "0", name="bad\x1b[31m"),
    ]
    found = side_by_side(place.run, place.front, ROWS, folders)
    assert [one.name for one in found.columns[2:]] == [
        "wild eval (a)",
        "wild eval (b) 2",
        "wild eval (b) 3",
        "wild eval, all windows",
        "asvspoof2021-la eval progress",
        "asvspoof2021-df eval",
        "manifest eval (calls)",
        "x" * 57 + "...",
        r"bad\x1b[31m eval",
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "../0"},
        {"size": 0},
        {"size": None},
        {"eer_dev": None},
        {"eer_dev": float("nan")},
        {"eer_eval": 1.5},
        {"eer_dev_low": -0.5},
    ],
)
def test_a_table_that_no_export_wrote_is_refused(broken: Mapping[str, Any], place: Place) -> None:
    with pytest.raises(DropinError, match=r"front\.parquet that search\.export did not write .*export again"):
        side_by_side(place.run, place.front, [{**ROWS[0], **broken}], [])
    for rows in ([{"role": "front"}], ROWS[2:], []):
        with pytest.raises(DropinError, match="did not write"):
            side_by_side(place.run, place.front, rows, [])


def test_an_export_without_its_detectors_is_told(place: Place) -> None:
    folder = place.evaluation("a", "0")
    (place.detectors["1"] / WEIGHTS).unlink()
    with pytest.raises(DropinError, match=f"1/{WEIGHTS} of a checkpoint or detector cannot be read"):
        side_by_side(place.run, place.front, ROWS, [folder])
