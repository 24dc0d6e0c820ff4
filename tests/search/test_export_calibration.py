"""Calibration of what is exported, against the scores of the run's own detectors on the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import finished_run
from search import export, load_detector, open_run
from trainables import corpora
from trainables.errors import DropinError
from trainables.metrics.calibration import Calibration, fit
from trainables.metrics.cllr import cllr, min_cllr
from trainables.metrics.dcf import actual_dcf, min_dcf

PRIOR = 0.9


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a run, its corpus, and an export with another prior than 0.5."""
    folder = tmp_path_factory.mktemp("place")
    run = finished_run.make(folder)
    assert export.main([str(run), "--to", str(folder / "front"), "--calibration-prior", str(PRIOR)]) == 0
    return folder


def scored(detector: Path, root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a split's files, and which of them are bona fide."""
    utterances = corpora.read("asvspoof2019-la", root, cache=root).splits[split]
    found = load_detector(detector).score([one.path for one in utterances])
    return np.array([one.score for one in found], dtype=np.float64), np.array([one.label == 1 for one in utterances])


@pytest.mark.parametrize("number", [0, 1])
def test_calibration_is_what_the_files_give_and_so_are_its_costs(number: int, place: Path) -> None:
    """The run's own detector gives the log-odds, the exported one the log-likelihood ratios."""
    row = pq.read_table(place / "front" / "front.parquet").to_pylist()[number]
    own, exported = place / "runs" / "one" / "detectors" / str(row["trial"]), place / "front" / row["detector"]
    card = load_detector(exported).card
    line = fit(*scored(own, place / "corpus", "dev"), PRIOR)
    expected = {"slope": line.slope, "intercept": line.intercept, "prior": PRIOR}
    assert card["calibration"] == pytest.approx(expected, rel=1e-3)
    for name, value in card["calibration"].items():
        assert row[f"calibration_{name}"] == value
    written = Calibration(card["calibration"]["slope"], card["calibration"]["intercept"])
    for split in ("dev", "eval"):
        found, keys = scored(own, place / "corpus", split)
        ratios, _ = scored(exported, place / "corpus", split)
        np.testing.assert_allclose(ratios, written.apply(found), atol=1e-9)
        for name, cost in (("cllr", cllr), ("min_cllr", min_cllr), ("min_dcf", min_dcf), ("actual_dcf", actual_dcf)):
            after = pytest.approx(cost(ratios[keys], ratios[~keys]), abs=1e-5)
            assert row[f"{name}_{split}"] == card[split][name] == after
            if name in card["uncalibrated"][split]:
                before = pytest.approx(cost(found[keys], found[~keys]), abs=1e-5)
                assert row[f"{name}_{split}_before"] == card["uncalibrated"][split][name] == before
    threshold = load_detector(own).threshold
    # A score at the threshold itself may fall to either side of it by the last bit.
    assert row["misses_eval_before"] == pytest.approx(np.mean(found[keys] < threshold), abs=1.01 / keys.sum())


def test_the_prior_moves_the_threshold(place: Path) -> None:
    detector = load_detector(place / "front" / "detectors" / "0")
    assert detector.threshold == pytest.approx(-np.log(PRIOR / (1 - PRIOR)))
    assert detector.verdict(-2.1) == "bona fide"
    assert detector.verdict(-2.3) == "spoof"
    text = (place / "front" / "detectors" / "0" / "card.md").read_text()
    assert "score >= -2.1972, the threshold of a log-likelihood ratio" in text
    assert "prior of bona fide speech is 0.9" in text


@pytest.mark.parametrize("wrong", ["0", "1", "x", "nan"])
def test_other_priors_are_refused(wrong: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = place / "runs" / "one"
    with pytest.raises(SystemExit):
        export.main([str(run), "--to", str(tmp_path / "out"), "--calibration-prior", wrong])
    assert "must be a number between 0 and 1, both excluded" in capsys.readouterr().err
    with pytest.raises(DropinError, match=r"calibration_prior must be a number between 0 and 1, both excluded; got 2"):
        open_run(run).export(tmp_path / "out", calibration_prior=2)
    assert not (tmp_path / "out").exists()
