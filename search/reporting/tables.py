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

from search.reporting.evaluation import Evaluation
from search.reporting.plan_words import plan_in_words
from search.runs.members import Member


@dataclass(frozen=True)
class DetectorResult:
    """Results of a detector, a row of the tables.

    Attributes:
        member: which detector.
        folder: its folder in the export; ``None`` for recipes and the base, which are not exported.
        size: number of parameters.
        eer_dev: dev EER in the run, by which the front was chosen.
        threshold: the detector's decision threshold; ``None`` if the detector is missing, as all below.
        macs: multiply-accumulates for an utterance.
        dev: evaluation on dev.
        eval: evaluation on eval; ``None`` also if the corpus has no eval split.
    """

    member: Member
    folder: str | None
    size: int
    eer_dev: float
    threshold: float | None = None
    macs: int | None = None
    dev: Evaluation | None = None
    eval: Evaluation | None = None

    @property
    def eer_eval(self) -> float | None:
        """EER on eval, or ``None``."""
        return None if self.eval is None else self.eval.eer


def table(results: Sequence[DetectorResult]) -> pa.Table:
    """A row for each result; errors are fractions, unknown values null; low and high are 95 % bootstrap intervals.

    ``eer_dev_ATTACK`` and ``eer_eval_ATTACK`` exist for every attack of the split; ``misses_eval`` and
    ``false_alarms_eval`` are miss and false alarm rate at the detector's threshold; plan and total_widths are JSON.
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
        "min_tdcf_dev": (pa.float64(), [r.dev and r.dev.min_tdcf for r in results]),
        "min_tdcf_eval": (pa.float64(), [r.eval and r.eval.min_tdcf for r in results]),
        "threshold": (pa.float64(), [r.threshold for r in results]),
        "misses_eval": (pa.float64(), [r.eval and r.eval.misses for r in results]),
        "false_alarms_eval": (pa.float64(), [r.eval and r.eval.false_alarms for r in results]),
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
            values = [one and one.by_attack.get(attack) for one in evaluations]
            columns[f"eer_{split}_{attack}"] = (pa.float64(), values)
    columns |= {
        "plan_in_words": (pa.string(), [r and "; ".join(plan_in_words(r.plan)) for r in records]),
        "plan": (pa.string(), [r and json.dumps(r.plan) for r in records]),
        "total_widths": (pa.string(), [r and json.dumps(r.total_widths) for r in records]),
    }
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


def write_tables(folder: Path, results: Sequence[DetectorResult]) -> None:
    """Write front.parquet and front.csv, with the same content, into an existing folder."""
    rows = table(results)
    pq.write_table(rows, folder / "front.parquet")
    pyarrow.csv.write_csv(rows, folder / "front.csv")
