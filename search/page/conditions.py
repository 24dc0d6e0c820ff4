"""Tables of an evaluation: all measures of each detector, and EERs by condition (attack, codec, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.page.numbers import count, percent
from search.reporting.evaluations import Measures
from search.reporting.side_by_side import Column, ShownDetector, SideBySide
from trainables.printable import printable

MAX_VALUES = 100
"""Values of a condition that the page shows; speakers may be thousands."""
MAX_CONDITIONS = 20


@dataclass(frozen=True)
class ConditionTable:
    """EERs by the values of a condition.

    Attributes:
        condition: attack, codec, ...
        rows: for each value its name, numbers of bona fide utterances and spoofs, and the EER of every detector, which
            is an empty text where there is none.
        values: how many values there are; the rows are of those with the most utterances, in the evaluation's order.
    """

    condition: str
    rows: list[tuple[str, str, str, list[str]]]
    values: int


@dataclass(frozen=True)
class EvaluationTables:
    """The tables of one evaluation.

    Attributes:
        name: of its column.
        note: a warning for readers of results, or an empty text.
        detectors: those that it has, smallest first.
        measures: for each of them the texts of `MEASURES`.
        conditions: by condition.
    """

    name: str
    note: str
    detectors: list[ShownDetector]
    measures: list[list[str]]
    conditions: list[ConditionTable]


MEASURES = (
    ("EER", lambda one: percent(one.eer)),
    ("min DCF", lambda one: _cost(one.min_dcf)),
    ("actual DCF", lambda one: _cost(one.actual_dcf)),
    ("min Cllr", lambda one: _cost(one.min_cllr)),
    ("Cllr", lambda one: _cost(one.cllr)),
    ("min t-DCF", lambda one: _cost(one.min_tdcf)),
    ("HTER", lambda one: percent(one.hter)),
    ("misses", lambda one: percent(one.misses)),
    ("false alarms", lambda one: percent(one.false_alarms)),
    ("bona fide", lambda one: count(one.bonafide)),
    ("spoofs", lambda one: count(one.spoof)),
)
"""Name and text of each measure of `Measures`."""


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def evaluation_tables(compared: SideBySide | None) -> list[EvaluationTables]:
    """The tables of every evaluation; none without evaluations."""
    columns = [] if compared is None else [one for one in compared.columns if one.evaluated]
    return [_tables(column, compared.detectors) for column in columns if compared is not None]


def _tables(column: Column, detectors: tuple[ShownDetector, ...]) -> EvaluationTables:
    shown = [one for one in detectors if one.name in column.evaluated]
    by = [column.evaluated[one.name].by for one in shown]
    conditions = list(dict.fromkeys(condition for one in by for condition in one))[:MAX_CONDITIONS]
    return EvaluationTables(
        column.name,
        column.note,
        shown,
        [[text(column.evaluated[one.name].pooled) for _, text in MEASURES] for one in shown],
        [_condition(condition, [one.get(condition, {}) for one in by]) for condition in conditions],
    )


def _condition(condition: str, by_value: list[Mapping[str, Measures]]) -> ConditionTable:
    """The table of a condition; `by_value` has the measures of every detector by value."""
    # A value's counts are those of the first detector that has it.
    first = {value: measures for one in reversed(by_value) for value, measures in one.items()}
    values = list(dict.fromkeys(value for one in by_value for value in one))
    largest = sorted(values, key=lambda value: -(first[value].bonafide + first[value].spoof))[:MAX_VALUES]
    kept = set(largest)
    rows = [
        (
            printable(value),
            count(first[value].bonafide),
            count(first[value].spoof),
            [_eer(one.get(value)) for one in by_value],
        )
        for value in values
        if value in kept
    ]
    return ConditionTable(printable(condition), rows, len(values))


def _eer(measures: Measures | None) -> str:
    return "" if measures is None or measures.eer is None else percent(measures.eer)
