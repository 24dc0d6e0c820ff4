"""The front and what it is compared with: base, recipes, and what training anew with fresh seeds gave."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.page.numbers import NOTHING, percent
from search.page.report_data import ReportData
from search.runs.record import Record
from search.storage.run_paths import RunPaths
from trainables.errors import DropinError


@dataclass(frozen=True)
class Compared:
    """A detector that the front is compared with.

    Attributes:
        name: the recipe's, or ``base``.
        record: the recipe's trial; ``None`` for the base.
        size: parameters.
        eer: dev EER, a fraction.
        better: the member of the front with the lowest EER that has no more parameters; ``None`` where there is none.
    """

    name: str
    record: Record | None
    size: int
    eer: float
    better: Record | None


def compared(subject: ReportData) -> list[Compared]:
    """The base, where it is there, and the recipes that ran to their end, on the front or not."""
    base = subject.base
    found = [] if base.eer is None else [Compared("base", None, base.size, base.eer, best_within(subject, base.size))]
    for one in subject.recipes:
        if one.size is not None and one.eer is not None:
            found.append(Compared(str(one.recipe), one, one.size, one.eer, best_within(subject, one.size)))
    return found


def best_within(subject: ReportData, size: int) -> Record | None:
    """The member of the front with the lowest EER among those of at most `size` parameters: the largest of them."""
    within = [one for one in subject.front if one.size is not None and one.size <= size]
    return within[-1] if within else None


@dataclass(frozen=True)
class Confirmed:
    """What fresh seeds gave for a detector: EERs as fractions, one for each seed.

    Attributes:
        name: what confirm.csv calls it: a number on the front as it was then, or a control's name.
        what: for a person.
        size: parameters, as text.
        dev, eval: EERs; eval is empty where the corpus has none.
    """

    name: str
    what: str
    size: str
    dev: tuple[float, ...]
    eval: tuple[float, ...]


def confirmed(folder: Path) -> list[Confirmed]:
    """What `search.confirm` found for a run, in its order; empty where it was not asked.

    Raises:
        DropinError: its table cannot be read.
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
            Confirmed(
                name,
                rows[0]["what"],
                f"{int(rows[0]['parameters']):,}" if rows[0]["parameters"] else NOTHING,
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
        return NOTHING
    return f"{percent(statistics.median(values))} ({100 * min(values):.2f} to {100 * max(values):.2f})"
