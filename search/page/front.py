"""The plot of the front: what every trial that has an EER and a size came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from search.front_picture import size_locator, top_of
from search.page.figure import Figure, axis, figure, lines, plain
from search.page.numbers import count, interval, percent
from search.page.subject import Subject
from search.trial_log import Record
from search.wording import count_text, plan_in_words
from spaces.recipes import is_recipe

BASE = "base"
"""What a click on the base's point tells, where others tell their trial's number."""


def groups(subject: Subject) -> dict[str, list[Record]]:
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


def front_figure(subject: Subject) -> Figure | None:
    """Dev EER against parameters; nothing where no trial ended with a detector."""
    if not subject.front:
        return None
    found, base = groups(subject), subject.base
    named = [*subject.front, *found["recipes"]]
    complete = [*named, *found["others"]]
    shown = [_eer(one) for one in named] + ([] if base.eer is None else [base.eer])
    top = 100 * top_of(shown, [_eer(one) for one in complete])
    sizes = [_size(one) for one in (*complete, *found["stopped"]) if 100 * _eer(one) <= top] + [base.size]
    margin = 0.04 * max(0.5, math.log10(max(sizes) / min(sizes)))
    edges = [math.log10(min(sizes)) - margin, math.log10(max(sizes)) + margin]
    low, high = (10**edge for edge in edges)
    middle = math.sqrt(low * high)
    ticks = [tick for tick in size_locator(low, high).tick_values(low, high) if low <= tick <= high]
    traces = [
        _points("ran to their end", found["others"], {"size": 8, "color": "--trial", "opacity": 0.75}, middle),
        _points("stopped early", found["stopped"], {"size": 7, "color": "--stopped", "symbol": "x-thin-open"}, middle),
        _staircase(subject.front, high),
        _points(
            "front", subject.front, {"size": 12, "color": "--front", "line": {"width": 1, "color": "--paper"}}, middle
        ),
        _points("recipes", found["recipes"], {"size": 11, "color": "--recipe", "symbol": "diamond-open"}, middle),
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
        traces.append(_base_point(base.size, base.eer, middle))
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


def _points(name: str, records: Sequence[Record], marker: dict[str, Any], middle: float) -> dict[str, Any]:
    """A group of trials; names of recipes stand on that side of their points, seen from `middle`, which has room."""
    places = ["middle right" if _size(record) < middle else "middle left" for record in records]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [record.size for record in records],
        "y": [100 * _eer(record) for record in records],
        "text": [plain(record.recipe) if is_recipe(record.recipe) else "" for record in records],
        "textposition": places,
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


def _base_point(size: int, eer: float, middle: float) -> dict[str, Any]:
    point = _points("base", [], {"size": 11, "color": "--base", "symbol": "square-open"}, middle)
    point |= {"x": [size], "y": [100 * eer], "text": [BASE], "customdata": [BASE]}
    point["textposition"] = ["middle right" if size < middle else "middle left"]
    numbers = f"EER {percent(eer)}, {count(size)} parameters"
    return {**point, "hovertext": [f"<b>base</b>, which all trials begin with<br>{numbers}"]}


def _eer(record: Record) -> float:
    assert record.eer is not None, "only trials with an EER are in a group"
    return record.eer


def _size(record: Record) -> int:
    assert record.size is not None, "only trials with a size are in a group"
    return record.size
