"""Comparison of the front with base and recipes, and the results of training again with other seeds."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.page.numbers import UNKNOWN, percent
from search.page.report_data import ReportData
from search.runs.record import Record
from trainables.errors import DropinError
from trainables.storage.run_paths import RunPaths


@dataclass(frozen=True)
class Reference:
    """A detector that the front is compared with.

    Attributes:
        name: the recipe's, or ``base``.
        record: the recipe's trial; ``None`` for the base.
        size: number of parameters.
        eer: dev EER, a fraction.
        best: the member of the front with the lowest EER at no more parameters, or ``None``.
    """

    name: str
    record: Record | None
    size: int
    eer: float
    best: Record | None


def references(data: ReportData) -> list[Reference]:
    """The base, unless it is missing, and all completed recipes."""
    base = data.base
    found = [] if base.eer is None else [Reference("base", None, base.size, base.eer, best_within(data, base.size))]
    for record in data.recipes:
        if record.size is not None and record.eer is not None:
            best = best_within(data, record.size)
            found.append(Reference(str(record.recipe), record, record.size, record.eer, best))
    return found


def best_within(data: ReportData, size: int) -> Record | None:
    """The member of the front with the lowest EER at no more than `size` parameters: the largest such member."""
    within = [record for record in data.front if record.size is not None and record.size <= size]
    return within[-1] if within else None


@dataclass(frozen=True)
class Confirmation:
    """Results of a detector that was trained again with several seeds.

    Attributes:
        name: in confirm.csv: its number on the front at that time, or the name of a control.
        what: a description.
        size: number of parameters, as text.
        dev, eval: EER of each seed, fractions; eval is empty if the corpus has no eval split.
    """

    name: str
    what: str
    size: str
    dev: tuple[float, ...]
    eval: tuple[float, ...]


def confirmations(folder: Path) -> list[Confirmation]:
    """Results of `search.confirm` for a run folder, in the order of its table; empty if there is none.

    Raises:
        DropinError: the table cannot be read.
    """
    path = RunPaths(folder).confirmation_table
    if not path.exists():
        return []
    seeds: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                seeds.setdefault(row["detector"], []).append(row)
        return [
            Confirmation(
                name,
                rows[0]["what"],
                f"{int(rows[0]['parameters']):,}" if rows[0]["parameters"] else UNKNOWN,
                tuple(float(row["eer_dev"]) for row in rows),
                tuple(float(row["eer_eval"]) for row in rows if row["eer_eval"]),
            )
            for name, rows in seeds.items()
        ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DropinError(f"{path} is not a table of search.confirm ({error!r}): run it again, or remove it") from error


def spread(values: Sequence[float]) -> str:
    """Median and range in percent."""
    if not values:
        return UNKNOWN
    return f"{percent(statistics.median(values))} ({100 * min(values):.2f} to {100 * max(values):.2f})"
