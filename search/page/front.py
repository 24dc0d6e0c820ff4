"""The plot of the front: what every trial that has an EER and a size came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.page.figure import Figure, axis, figure, lines, plain
from search.page.numbers import count, interval, percent
from search.page.report_data import ReportData
from search.reporting.front_picture import largest_eer_shown, size_locator
from search.reporting.plan_words import count_text, plan_in_words
from search.runs.trial_log import Record
from spaces.recipes import is_recipe

Place = Callable[[str, int], str]
BASE = "base"
"""What a click on the base's point tells, where others tell their trial's number."""


def groups(subject: ReportData) -> dict[str, list[Record]]:
    """Trials with an EER and a size, each in one group: ``front``, ``recipes``, ``others`` and ``stopped``."""
    on_front = {record.number for record in subject.front}
    found: dict[str, list[Record]] = {"others": [], "stopped": [], "recipes": [], "front": list(subject.front)}
    for record in subject.run.records:
        if record.eer is None or record.size is None or record.number in on_front or record.state == "FAIL":
            continue
        if record.state == "PRUNED":
            found["stopped"].append(record)
        else:
            found["recipes" if is_recipe(record.recipe) else "others"].append(record)
    return found


def front_figure(subject: ReportData) -> Figure | None:
    """Dev EER against parameters; nothing where no trial ended with a detector."""
    if not subject.front:
        return None
    found, base = groups(subject), subject.base
    named = [*subject.front, *found["recipes"]]
    complete = [*named, *found["others"]]
    shown = [_eer(one) for one in named] + ([] if base.eer is None else [base.eer])
    top = 100 * largest_eer_shown(shown, [_eer(one) for one in complete])
    sizes = [_size(one) for one in (*complete, *found["stopped"]) if 100 * _eer(one) <= top] + [base.size]
    margin = 0.04 * max(0.5, math.log10(max(sizes) / min(sizes)))
    edges = [math.log10(min(sizes)) - margin, math.log10(max(sizes)) + margin]
    low, high = (10**edge for edge in edges)
    eers = {plain(one.recipe): _eer(one) for one in named if is_recipe(one.recipe)}
    place = label_places(eers if base.eer is None else {**eers, BASE: base.eer}, math.sqrt(low * high))
    ticks = [tick for tick in size_locator(low, high).tick_values(low, high) if low <= tick <= high]
    traces = [
        _points("ran to their end", found["others"], {"size": 8, "color": "--trial", "opacity": 0.75}, place),
        _points("stopped early", found["stopped"], {"size": 7, "color": "--stopped", "symbol": "x-thin-open"}, place),
        _staircase(subject.front, high),
        _points(
            "front", subject.front, {"size": 12, "color": "--front", "line": {"width": 1, "color": "--paper"}}, place
        ),
        _points("recipes", found["recipes"], {"size": 11, "color": "--recipe", "symbol": "diamond-open"}, place),
    ]
    traces[3]["error_y"] = {
        "type": "data",
        "symmetric": False,
        "array": [None if one.eer_high is None else 100 * (one.eer_high - _eer(one)) for one in subject.front],
        "arrayminus": [None if one.eer_low is None else 100 * (_eer(one) - one.eer_low) for one in subject.front],
        "color": "--front-faint",
        "thickness": 1.5,
        "width": 3,
    }
    if base.eer is not None:
        traces.append(_base_point(base.size, base.eer, place))
    return figure(
        f"EER on dev against parameters: {len(complete)} trials that ran to their end, the front as a line",
        traces,
        axis("parameters (logarithmic)", type="log", range=edges, tickvals=ticks, ticktext=[*map(count_text, ticks)]),
        axis("EER on dev, %", range=[-0.03 * top, top]),
        height=480,
        zoom=True,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
    )


def said(record: Record) -> str:
    """What a trial's point says: its number, its numbers and its plan."""
    name = f" ({plain(record.recipe)})" if record.recipe else ""
    ended = ", stopped early" if record.state == "PRUNED" else ""
    numbers = [f"EER {percent(record.eer)}, {count(record.size)} parameters"]
    if record.state == "COMPLETE" and record.eer_low is not None:
        numbers.append(f"95 % interval {interval(record.eer_low, record.eer_high)}")
    return f"<b>trial {record.number}</b>{name}{ended}<br>{lines([*numbers, *plan_in_words(record.plan)])}"


def label_places(eers: Mapping[str, float], middle: float) -> Place:
    """Where names stand beside their points: on the side that has room, and apart where points are close.

    Args:
        eers: of all points that have a name.
        middle: the size in the middle of the plot.

    Returns:
        Plotly's ``textposition`` of a name and a size; that of no name says nothing.
    """
    order = sorted(eers, key=lambda name: (eers[name], name))
    heights = {name: "middle" for name in order}
    if len(order) > 1:
        heights |= {order[0]: "bottom", order[-1]: "top"}
    return lambda name, size: f"{heights.get(name, 'middle')} {'right' if size < middle else 'left'}"


def _points(name: str, records: Sequence[Record], marker: dict[str, Any], place: Place) -> dict[str, Any]:
    """A group of trials; recipes have their names beside them."""
    names = [plain(record.recipe) if is_recipe(record.recipe) else "" for record in records]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [record.size for record in records],
        "y": [100 * _eer(record) for record in records],
        "text": names,
        "textposition": [place(name, _size(record)) for name, record in zip(names, records, strict=True)],
        "textfont": {"size": 12},
        "customdata": [record.number for record in records],
        "hovertext": [said(record) for record in records],
        "hoverinfo": "text",
        "marker": marker,
        "cliponaxis": True,
    }


def _staircase(front: Sequence[Record], right: float) -> dict[str, Any]:
    """What the front beats lies above and to the right of this line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [_size(front[0]), *(_size(one) for one in front), right],
        "y": [100, *(100 * _eer(one) for one in front), 100 * _eer(front[-1])],
        "line": {"shape": "hv", "color": "--front", "width": 2},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _base_point(size: int, eer: float, place: Place) -> dict[str, Any]:
    point = _points("base", [], {"size": 11, "color": "--base", "symbol": "square-open"}, place)
    point |= {"x": [size], "y": [100 * eer], "text": [BASE], "customdata": [BASE]}
    point["textposition"] = [place(BASE, size)]
    numbers = f"EER {percent(eer)}, {count(size)} parameters"
    return {**point, "hovertext": [f"<b>base</b>, which all trials begin with<br>{numbers}"]}


def _eer(record: Record) -> float:
    assert record.eer is not None, "only trials with an EER are in a group"
    return record.eer


def _size(record: Record) -> int:
    assert record.size is not None, "only trials with a size are in a group"
    return record.size
