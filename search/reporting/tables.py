"""Tables of results: a row for each member of the front, each recipe and the base. Nothing is computed here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from search.reporting.dev_calibration import DevCalibration
from search.reporting.evaluation import Evaluation
from search.reporting.plan_words import plan_in_words
from search.runs.members import Member

COSTS_BEFORE = ("cllr", "actual_dcf")
"""Costs of both splits that the tables have before and after calibration."""


@dataclass(frozen=True)
class DetectorResult:
    """Results of a detector, a row of the tables.

    Attributes:
        member: which detector.
        folder: its folder in the export; ``None`` for recipes and the base, which are not exported.
        size: number of parameters.
        eer_dev: dev EER in the run, by which the front was chosen.
        macs: multiply-accumulates for an utterance; ``None`` if the detector is missing, as all below.
        dev: evaluation of its calibrated scores on dev.
        eval: evaluation of its calibrated scores on eval; ``None`` also if the corpus has no eval split.
        calibrated: its calibration, with its thresholds.
    """

    member: Member
    folder: str | None
    size: int
    eer_dev: float
    macs: int | None = None
    dev: Evaluation | None = None
    eval: Evaluation | None = None
    calibrated: DevCalibration | None = None

    @property
    def eer_eval(self) -> float | None:
        """EER on eval, or ``None``."""
        return None if self.eval is None else self.eval.eer


def table(results: Sequence[DetectorResult]) -> pa.Table:
    """A row for each result; errors are fractions, unknown values null; low and high are 95 % bootstrap intervals.

    ``eer_dev_ATTACK`` and ``eer_eval_ATTACK`` exist for every attack of the split. Of dev and eval there are min t-DCF,
    min DCF and actual DCF (normalised), Cllr and min Cllr (bits), all of calibrated scores; those of dev, on which the
    calibration was fitted, are in-sample. ``cllr_SPLIT_before`` and ``actual_dcf_SPLIT_before`` are those of the
    network's log-odds. ``misses_eval``, ``false_alarms_eval`` and their mean ``hter_eval`` are at ``threshold``, which
    is one of calibrated scores, as ``eer_threshold`` is; ``misses_eval_before`` and ``false_alarms_eval_before`` are
    those of the run's own detector at its own threshold. A calibrated score is ``calibration_slope * log-odds +
    calibration_intercept``. plan and total_widths are JSON.
    """
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "role": (pa.string(), [r.member.role for r in results]),
        "name": (pa.string(), [r.member.name for r in results]),
        "detector": (pa.string(), [r.folder for r in results]),
        "size": (pa.int64(), [r.size for r in results]),
        "macs": (pa.int64(), [r.macs for r in results]),
        "eer_dev": (pa.float64(), [r.eer_dev for r in results]),
        "eer_dev_low": (pa.float64(), [r.dev and r.dev.interval[0] for r in results]),
        "eer_dev_high": (pa.float64(), [r.dev and r.dev.interval[1] for r in results]),
        "eer_eval": (pa.float64(), [r.eer_eval for r in results]),
        "eer_eval_low": (pa.float64(), [r.eval and r.eval.interval[0] for r in results]),
        "eer_eval_high": (pa.float64(), [r.eval and r.eval.interval[1] for r in results]),
        **_costs(results),
        **_calibrations(results),
    }
    records = [r.member.record for r in results]
    columns |= {
        "trial": (pa.int64(), [r and r.number for r in records]),
        "recipe": (pa.string(), [r and r.recipe for r in records]),
        "weighted_eer": (pa.float64(), [r and r.weighted_eer for r in records]),
        "trainable_parameters": (pa.int64(), [r and r.trainable_parameters for r in records]),
        "epochs": (pa.int64(), [r and r.epochs for r in records]),
        "seconds": (pa.float64(), [r and r.seconds for r in records]),
    }
    for split, evaluations in (("dev", [r.dev for r in results]), ("eval", [r.eval for r in results])):
        for attack in sorted({name for one in evaluations if one for name in one.by_attack}):
            values = [one.by_attack.get(attack) if one else None for one in evaluations]
            columns[f"eer_{split}_{attack}"] = (pa.float64(), values)
    columns |= {
        "plan_in_words": (pa.string(), [r and "; ".join(plan_in_words(r.plan)) for r in records]),
        "plan": (pa.string(), [r and json.dumps(r.plan) for r in records]),
        "total_widths": (pa.string(), [r and json.dumps(r.total_widths) for r in records]),
    }
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


def _costs(results: Sequence[DetectorResult]) -> dict[str, tuple[pa.DataType, list[Any]]]:
    """Columns of the costs of dev and eval, and of the errors on eval at the threshold."""
    splits = {"dev": [r.dev for r in results], "eval": [r.eval for r in results]}
    columns = {
        f"{cost}_{split}": (pa.float64(), [getattr(one, cost) if one else None for one in evaluations])
        for cost in ("min_tdcf", "min_dcf", "actual_dcf", "cllr", "min_cllr")
        for split, evaluations in splits.items()
    }
    for rate in ("misses", "false_alarms", "hter"):
        columns[f"{rate}_eval"] = (pa.float64(), [getattr(one, rate) if one else None for one in splits["eval"]])
    return columns


def _calibrations(results: Sequence[DetectorResult]) -> dict[str, tuple[pa.DataType, list[Any]]]:
    """Columns of the calibrations, their thresholds, and what there was before them."""
    found = [r.calibrated for r in results]
    columns: dict[str, list[float | None]] = {
        "threshold": [one.threshold if one else None for one in found],
        "eer_threshold": [one.eer_threshold if one else None for one in found],
        "calibration_slope": [one.calibration.slope if one else None for one in found],
        "calibration_intercept": [one.calibration.intercept if one else None for one in found],
        "calibration_prior": [one.prior if one else None for one in found],
    }
    for split, costs in (("dev", COSTS_BEFORE), ("eval", (*COSTS_BEFORE, "misses", "false_alarms"))):
        before = [one.before.get(split) if one else None for one in found]
        for cost in costs:
            columns[f"{cost}_{split}_before"] = [getattr(one, cost) if one else None for one in before]
    return {name: (pa.float64(), values) for name, values in columns.items()}


def write_tables(folder: Path, results: Sequence[DetectorResult]) -> None:
    """Write front.parquet and front.csv, with the same content, into an existing folder."""
    rows = table(results)
    pq.write_table(rows, folder / "front.parquet")
    pyarrow.csv.write_csv(rows, folder / "front.csv")
