from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from search.reporting.dev_calibration import DevCalibration, Uncalibrated
from search.reporting.evaluation import Evaluation
from search.reporting.tables import DetectorResult, table, write_tables
from search.runs.members import Member
from search.runs.record import Record
from trainables.metrics.calibration import Calibration

PLAN = {
    **{"space": "dropin", "epochs": 3, "grow": {"layer1.0": 4}, "rule": "zero", "grow_epoch": 0, "grow_steps": 1},
    **{"train": "new", "prune_epoch": 3, "prune_steps": 1, "final": {}, "criterion": "original", "after": "finetune"},
    **{"moments": "carry", "optimizer": "adam", "lr": 1e-3, "recover_lr": 1e-4, "schedule": "constant"},
    **{"weight_decay": 0.0, "clip": 0.0, "batch_size": 32},
}


def results() -> tuple[DetectorResult, DetectorResult]:
    """Results of a front of one member, and of a base."""
    one = Record(7, "COMPLETE", "paper", PLAN, eer=0.1, size=1000, total_widths={"layer1.0": 8})
    base = DetectorResult(Member("base", None, None, Path()), None, 900, 0.2)
    return DetectorResult(Member("front", 0, one, Path()), "detectors/0", 1000, 0.1), base


def test_a_row_has_the_results_and_null_for_unknown_ones(tmp_path: Path) -> None:
    first, second = results()
    dev = Evaluation(0.11, {"A01": 0.2, "A02": 0.0}, 0.3, 0.4, None, (0.05, 0.2), 0.41, 0.42, 0.43, 0.44, 0.35)
    on_eval = Evaluation(0.0, {"A07": 0.5}, 0.25, 0.75, 0.9, (0.0, 0.1), 0.51, 0.52, 0.53, 0.54, 0.5)
    before = {"dev": Uncalibrated(2.0, 1.5, 0.1, 0.2), "eval": Uncalibrated(3.0, 1.9, 0.6, 0.7)}
    calibrated = DevCalibration(Calibration(0.5, -0.25), 0.6, -0.4, 0.125, before)
    first = DetectorResult(first.member, first.folder, 1000, 0.1, 12345, dev, on_eval, calibrated)
    rows = table([first, second]).to_pylist()
    words = "add neurons with zero outgoing weights: 4 to layer1.0; train new parameters only for 3 epochs; "
    words += "adam, learning rate 0.001, batches of 32, optimiser moments carried over"
    assert rows[0] == {
        **{"role": "front", "name": "0", "detector": "detectors/0", "size": 1000, "macs": 12345},
        **{"eer_dev": 0.1, "eer_eval": 0.0, "min_tdcf_dev": None, "min_tdcf_eval": 0.9},
        **{"min_dcf_dev": 0.41, "actual_dcf_dev": 0.42, "cllr_dev": 0.43, "min_cllr_dev": 0.44},
        **{"min_dcf_eval": 0.51, "actual_dcf_eval": 0.52, "cllr_eval": 0.53, "min_cllr_eval": 0.54, "hter_eval": 0.5},
        **{"threshold": -0.4, "eer_threshold": 0.125, "calibration_slope": 0.5, "calibration_intercept": -0.25},
        **{"calibration_prior": 0.6, "cllr_dev_before": 2.0, "actual_dcf_dev_before": 1.5, "cllr_eval_before": 3.0},
        **{"actual_dcf_eval_before": 1.9, "misses_eval_before": 0.6, "false_alarms_eval_before": 0.7},
        **{"eer_dev_low": 0.05, "eer_dev_high": 0.2, "eer_eval_low": 0.0, "eer_eval_high": 0.1},
        **{"misses_eval": 0.25, "false_alarms_eval": 0.75, "trial": 7, "recipe": "paper", "weighted_eer": None},
        **{"trainable_parameters": None, "epochs": 0, "seconds": None},
        **{"eer_dev_A01": 0.2, "eer_dev_A02": 0.0, "eer_eval_A07": 0.5},
        **{"plan": json.dumps(PLAN), "plan_in_words": words, "total_widths": '{"layer1.0": 8}'},
    }
    known = {"role": "base", "name": "base", "size": 900, "eer_dev": 0.2}
    assert rows[1] == {**dict.fromkeys(rows[0]), **known}
    write_tables(tmp_path, [first, second])
    assert pq.read_table(tmp_path / "front.parquet").to_pylist() == rows
    lines = (tmp_path / "front.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].split(",")[:5] == ['"role"', '"name"', '"detector"', '"size"', '"macs"']
