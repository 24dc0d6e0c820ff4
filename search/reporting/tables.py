"""Results as tables: a row for each detector of a front and for what it is compared with. Nothing is measured here."""

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
class Entry:
    """A row of the tables.

    Attributes:
        member: which detector.
        detector: its folder in the export, ``None`` for what is there for comparison only.
        size: parameters.
        eer_dev: dev EER as the run found it, by which the front was chosen.
        threshold: the detector's decision threshold; ``None`` where the detector is gone, as all below.
        macs: multiply-accumulates for an utterance.
        dev: how it does on dev.
        eval: how it does on eval; ``None`` also where the corpus has no eval.
    """

    member: Member
    detector: str | None
    size: int
    eer_dev: float
    threshold: float | None = None
    macs: int | None = None
    dev: Evaluation | None = None
    eval: Evaluation | None = None

    @property
    def eer_eval(self) -> float | None:
        """EER on eval, where it was scored."""
        return None if self.eval is None else self.eval.eer


def table(entries: Sequence[Entry]) -> pa.Table:
    """A row for each entry; errors are fractions, what is not known is null; low and high are 95 % bootstrap intervals.

    ``eer_dev_ATTACK`` and ``eer_eval_ATTACK`` are there for every attack of the split; ``misses_eval`` and
    ``false_alarms_eval`` are those at the detector's threshold; plan and total_widths are JSON.
    """
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "role": (pa.string(), [e.member.role for e in entries]),
        "name": (pa.string(), [e.member.name for e in entries]),
        "detector": (pa.string(), [e.detector for e in entries]),
        "size": (pa.int64(), [e.size for e in entries]),
        "macs": (pa.int64(), [e.macs for e in entries]),
        "eer_dev": (pa.float64(), [e.eer_dev for e in entries]),
        "eer_dev_low": (pa.float64(), [e.dev and e.dev.interval[0] for e in entries]),
        "eer_dev_high": (pa.float64(), [e.dev and e.dev.interval[1] for e in entries]),
        "eer_eval": (pa.float64(), [e.eer_eval for e in entries]),
        "eer_eval_low": (pa.float64(), [e.eval and e.eval.interval[0] for e in entries]),
        "eer_eval_high": (pa.float64(), [e.eval and e.eval.interval[1] for e in entries]),
        "min_tdcf_dev": (pa.float64(), [e.dev and e.dev.min_tdcf for e in entries]),
        "min_tdcf_eval": (pa.float64(), [e.eval and e.eval.min_tdcf for e in entries]),
        "threshold": (pa.float64(), [e.threshold for e in entries]),
        "misses_eval": (pa.float64(), [e.eval and e.eval.misses for e in entries]),
        "false_alarms_eval": (pa.float64(), [e.eval and e.eval.false_alarms for e in entries]),
    }
    records = [e.member.record for e in entries]
    columns |= {
        "trial": (pa.int64(), [r and r.number for r in records]),
        "recipe": (pa.string(), [r and r.recipe for r in records]),
        "weighted_eer": (pa.float64(), [r and r.weighted_eer for r in records]),
        "trainable_parameters": (pa.int64(), [r and r.trainable_parameters for r in records]),
        "epochs": (pa.int64(), [r and r.epochs for r in records]),
        "seconds": (pa.float64(), [r and r.seconds for r in records]),
    }
    for split, found in (("dev", [e.dev for e in entries]), ("eval", [e.eval for e in entries])):
        for attack in sorted({name for one in found if one for name in one.by_attack}):
            values = [one and one.by_attack.get(attack) for one in found]
            columns[f"eer_{split}_{attack}"] = (pa.float64(), values)
    columns |= {
        "plan_in_words": (pa.string(), [r and "; ".join(plan_in_words(r.plan)) for r in records]),
        "plan": (pa.string(), [r and json.dumps(r.plan) for r in records]),
        "total_widths": (pa.string(), [r and json.dumps(r.total_widths) for r in records]),
    }
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


def write_tables(folder: Path, entries: Sequence[Entry]) -> None:
    """Write front.parquet and front.csv, which say the same, into an existing folder."""
    rows = table(entries)
    pq.write_table(rows, folder / "front.parquet")
    pyarrow.csv.write_csv(rows, folder / "front.csv")
