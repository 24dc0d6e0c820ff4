"""The figure of the front: EER and size of every trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.page.figure import Figure, axis, escape, figure, wrap
from search.page.numbers import count, interval, percent
from search.page.report_data import ReportData
from search.reporting.front_picture import largest_eer_shown, size_locator
from search.reporting.plan_words import count_text, plan_in_words
from search.runs.record import Record
from spaces.recipes import is_recipe

Position = Callable[[str, int], str]
BASE = "base"
"""Custom data of the base's point; those of trials have the trial's number."""


def groups(data: ReportData) -> dict[str, list[Record]]:
    """Trials with an EER and a size by group: ``front``, ``recipes``, ``others`` and ``stopped``."""
    on_front = {record.number for record in data.front}
    found: dict[str, list[Record]] = {"others": [], "stopped": [], "recipes": [], "front": list(data.front)}
    for record in data.run.records:
        if record.eer is None or record.size is None or record.number in on_front or record.state == "FAIL":
            continue
        if record.state == "PRUNED":
            found["stopped"].append(record)
        else:
            found["recipes" if is_recipe(record.recipe) else "others"].append(record)
    return found


def front_figure(data: ReportData) -> Figure | None:
    """Dev EER against parameters, or ``None`` if no trial completed."""
    if not data.front:
        return None
    found, base = groups(data), data.base
    labelled = [*data.front, *found["recipes"]]
    complete = [*labelled, *found["others"]]
    labelled_eers = [_eer(one) for one in labelled] + ([] if base.eer is None else [base.eer])
    top = 100 * largest_eer_shown(labelled_eers, [_eer(one) for one in complete])
    sizes = [_size(one) for one in (*complete, *found["stopped"]) if 100 * _eer(one) <= top] + [base.size]
    x = size_axis(sizes)
    low, high = (10**edge for edge in x["range"])
    eers = {escape(one.recipe): _eer(one) for one in labelled if is_recipe(one.recipe)}
    position = label_positions(eers if base.eer is None else {**eers, BASE: base.eer}, math.sqrt(low * high))
    traces = [
        _points("completed", found["others"], {"size": 8, "color": "--trial", "opacity": 0.75}, position),
        _points(
            "stopped early", found["stopped"], {"size": 7, "color": "--stopped", "symbol": "x-thin-open"}, position
        ),
        _step_line(data.front, high),
        _points(
            "front", data.front, {"size": 12, "color": "--front", "line": {"width": 1, "color": "--paper"}}, position
        ),
        _points("recipes", found["recipes"], {"size": 11, "color": "--recipe", "symbol": "diamond-open"}, position),
    ]
    traces[3]["error_y"] = {
        "type": "data",
        "symmetric": False,
        "array": [None if one.eer_high is None else 100 * (one.eer_high - _eer(one)) for one in data.front],
        "arrayminus": [None if one.eer_low is None else 100 * (_eer(one) - one.eer_low) for one in data.front],
        "color": "--front-faint",
        "thickness": 1.5,
        "width": 3,
    }
    if base.eer is not None:
        traces.append(_base_point(base.size, base.eer, position))
    return figure(
        f"EER on dev against parameters: {len(complete)} completed trials, the front as a step line",
        traces,
        x,
        axis("EER on dev, %", range=[-0.03 * top, top]),
        height=480,
        zoom=True,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
    )


def size_axis(sizes: Sequence[int]) -> dict[str, Any]:
    """A logarithmic axis of parameters, with ticks at round numbers and a margin around all sizes."""
    margin = 0.04 * max(0.5, math.log10(max(sizes) / min(sizes)))
    edges = [math.log10(min(sizes)) - margin, math.log10(max(sizes)) + margin]
    low, high = (10**edge for edge in edges)
    ticks = [tick for tick in size_locator(low, high).tick_values(low, high) if low <= tick <= high]
    return axis("parameters (logarithmic)", type="log", range=edges, tickvals=ticks, ticktext=[*map(count_text, ticks)])


def hover_text(record: Record) -> str:
    """Hover text of a trial: number, EER, size and plan."""
    name = f" ({escape(record.recipe)})" if record.recipe else ""
    state = ", stopped early" if record.state == "PRUNED" else ""
    numbers = [f"EER {percent(record.eer)}, {count(record.size)} parameters"]
    if record.state == "COMPLETE" and record.eer_low is not None:
        numbers.append(f"95 % interval {interval(record.eer_low, record.eer_high)}")
    return f"<b>trial {record.number}</b>{name}{state}<br>{wrap([*numbers, *plan_in_words(record.plan)])}"


def label_positions(eers: Mapping[str, float], middle: float) -> Position:
    """Positions of labels relative to their points, so that they stay in the figure and do not overlap.

    Args:
        eers: of all labelled points, by label.
        middle: the size in the middle of the x axis.

    Returns:
        A function from label and size to plotly's ``textposition``; without a label the position has no effect.
    """
    order = sorted(eers, key=lambda name: (eers[name], name))
    heights = {name: "middle" for name in order}
    if len(order) > 1:
        heights |= {order[0]: "bottom", order[-1]: "top"}
    return lambda name, size: f"{heights.get(name, 'middle')} {'right' if size < middle else 'left'}"


def _points(name: str, records: Sequence[Record], marker: dict[str, Any], position: Position) -> dict[str, Any]:
    """The trace of a group of trials; recipes are labelled."""
    labels = [escape(record.recipe) if is_recipe(record.recipe) else "" for record in records]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [record.size for record in records],
        "y": [100 * _eer(record) for record in records],
        "text": labels,
        "textposition": [position(label, _size(record)) for label, record in zip(labels, records, strict=True)],
        "textfont": {"size": 12},
        "customdata": [record.number for record in records],
        "hovertext": [hover_text(record) for record in records],
        "hoverinfo": "text",
        "marker": marker,
        "cliponaxis": True,
    }


def _step_line(front: Sequence[Record], right: float) -> dict[str, Any]:
    """The boundary of the region that the front dominates, which lies above and to the right of it."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [_size(front[0]), *(_size(one) for one in front), right],
        "y": [100, *(100 * _eer(one) for one in front), 100 * _eer(front[-1])],
        "line": {"shape": "hv", "color": "--front", "width": 2},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _base_point(size: int, eer: float, position: Position) -> dict[str, Any]:
    point = _points("base", [], {"size": 11, "color": "--base", "symbol": "square-open"}, position)
    point |= {"x": [size], "y": [100 * eer], "text": [BASE], "customdata": [BASE]}
    point["textposition"] = [position(BASE, size)]
    numbers = f"EER {percent(eer)}, {count(size)} parameters"
    return {**point, "hovertext": [f"<b>base</b>, from which all trials start<br>{numbers}"]}


def _eer(record: Record) -> float:
    assert record.eer is not None, "only trials with an EER are in a group"
    return record.eer


def _size(record: Record) -> int:
    assert record.size is not None, "only trials with a size are in a group"
    return record.size
