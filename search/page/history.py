"""Optimization history: hypervolume of the front and lowest weighted EER after each trial, against time.

Every record has the time at which its trial ended. If records of an earlier version do not, the x axis is the number of
trials: a log is in the order in which trials ended.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

from search.page.figure import Figure, axis, figure
from search.page.numbers import duration
from search.runs import pareto
from search.runs.record import Record


def has_times(records: Sequence[Record]) -> bool:
    """Whether all records have the time at which their trial ended."""
    return all(record.ended is not None for record in records)


def sorted_by_end(records: Sequence[Record]) -> list[Record]:
    """The records in the order in which their trials ended."""
    return sorted(records, key=lambda one: one.ended or 0.0) if has_times(records) else list(records)


def elapsed(records: Sequence[Record]) -> list[float]:
    """For every trial, the seconds until its end during which at least one trial was running.

    So the pause before a run was resumed does not count.

    Args:
        records: with times, see `has_times`.
    """
    spans = sorted((float(one.ended or 0) - (one.seconds or 0.0), float(one.ended or 0)) for one in records)
    begins, ends = [spans[0][0]], [spans[0][1]]
    for begin, end in spans[1:]:
        if begin <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            begins.append(begin)
            ends.append(end)
    before = [0.0, *accumulate(end - begin for begin, end in zip(begins, ends, strict=True))]
    index = [bisect_left(ends, float(one.ended or 0)) for one in records]
    return [before[i] + float(one.ended or 0) - begins[i] for i, one in zip(index, records, strict=True)]


def hypervolumes(records: Sequence[Record], base_size: int) -> list[float]:
    """The hypervolume (`pareto.share`) after each of these trials; it never decreases."""
    front: list[tuple[float, float]] = []
    found, volume = [], 0.0
    for one in records:
        if one.state == "COMPLETE" and one.eer is not None and one.size:
            point = (one.eer, float(one.size))
            if not any(eer <= point[0] and size <= point[1] for eer, size in front):
                front = [other for other in front if not pareto.dominates(point, other)] + [point]
                volume = pareto.share(front, base_size)
        found.append(volume)
    return found


def lowest_weighted_eers(records: Sequence[Record]) -> list[float | None]:
    """The lowest weighted EER of completed trials after each of these trials; ``None`` before the first."""
    found: list[float | None] = []
    best: float | None = None
    for one in records:
        if one.state == "COMPLETE" and one.weighted_eer is not None:
            best = one.weighted_eer if best is None else min(best, one.weighted_eer)
        found.append(best)
    return found


def history_figures(records: Sequence[Record], base_size: int) -> dict[str, Figure]:
    """Both curves, by name; a curve without a point is left out."""
    ordered, timed = sorted_by_end(records), has_times(records)
    progress = elapsed(ordered) if timed else [float(number) for number in range(1, len(ordered) + 1)]
    factor, title = 1.0, "ended trials"
    if timed:
        long, longer = progress[-1] >= 180, progress[-1] >= 3 * 3600
        unit, factor = ("h", 3600.0) if longer else ("min", 60.0) if long else ("s", 1.0)
        title = f"running time, {unit}"
    found = {}
    best = [None if value is None else 100 * value for value in lowest_weighted_eers(ordered)]
    for name, label, values in (
        ("hypervolume", "hypervolume", hypervolumes(ordered, base_size)),
        ("weighted", "lowest weighted EER, %", best),
    ):
        points = _changes([(x, y, one) for x, y, one in zip(progress, values, ordered, strict=True) if y is not None])
        if points:
            trace = {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [x / factor for x, _, _ in points],
                "y": [y for _, y, _ in points],
                "line": {"shape": "hv", "color": "--front", "width": 2},
                "marker": {"size": 5, "color": "--front"},
                "hovertext": [_hover_text(x, y, one, timed) for x, y, one in points],
                "hoverinfo": "text",
                "customdata": [one.number for _, _, one in points],
            }
            found[name] = figure(
                f"{label} against {title}", [trace], axis(title, rangemode="tozero"), axis(label, rangemode="tozero")
            )
    return found


def _changes(points: list[tuple[float, float, Record]]) -> list[tuple[float, float, Record]]:
    """The first point, those whose value differs from the one before, and the last."""
    changed = [after for before, after in pairwise(points) if after[1] != before[1]]
    found = [*points[:1], *changed]
    return found if not points or found[-1] == points[-1] else [*found, points[-1]]


def _hover_text(x: float, y: float, record: Record, timed: bool) -> str:
    progress = f"after {duration(x)}" if timed else f"after {x:.0f} trials"
    return f"{y:.3f} {progress}, trial {record.number}"
