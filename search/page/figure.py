"""Common parts of all figures: data and layout for plotly, escaped text, and colours by name.

A colour is the name of a custom property in page.css; the page's script replaces it by its value in light or dark mode.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figure = dict[str, Any]
"""``data`` and ``layout`` for plotly, ``label`` as alternative text, and ``zoom`` if the mouse can zoom in."""
HOVER_WIDTH = 52
"""Characters in a line of hover text, so that it fits on a phone."""
ROTATED_FROM = 9
"""Number of heat map columns from which their labels are rotated, so that they fit on a phone."""


def escape(text: object) -> str:
    """Escape a text for plotly, which interprets some HTML."""
    return html.escape(str(text), quote=False)


def wrap(texts: Iterable[str]) -> str:
    """Escaped texts on lines of their own, long ones wrapped."""
    return "<br>".join(escape(line) for text in texts for line in textwrap.wrap(text, HOVER_WIDTH))


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis; `more` are further attributes of plotly's axis."""
    return {
        "title": {"text": escape(title), "standoff": 10, "font": {"size": 13}},
        "gridcolor": "--grid",
        "linecolor": "--grid",
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def figure(
    label: str,
    data: Sequence[Mapping[str, Any]],
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    height: int = 320,
    zoom: bool = False,
    **layout: Any,
) -> Figure:
    """A figure.

    Args:
        label: alternative text.
        data: traces.
        x, y: axes (`axis`).
        height: in pixels; the width is that of the page.
        zoom: whether the mouse can zoom in.
        layout: further attributes of plotly's layout.
    """
    common = {
        "xaxis": dict(x),
        "yaxis": dict(y),
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "paper_bgcolor": "--clear",
        "plot_bgcolor": "--clear",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--ink"},
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--grid", "align": "left", "font": {"color": "--ink"}},
        "hovermode": "closest",
        "dragmode": "zoom" if zoom else False,
        "showlegend": False,
    }
    return {"label": label, "data": list(data), "layout": {**common, **layout}, "zoom": zoom}


def heat_map(
    label: str,
    columns: Sequence[str],
    rows: Sequence[str],
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    *,
    x_title: str,
    colours: Sequence[tuple[float, str]],
    top: float,
) -> Figure:
    """A heat map with a text in each cell.

    Args:
        label: alternative text.
        columns, rows: their labels.
        values: of every row; ``None`` leaves a cell empty.
        texts: of every row.
        x_title: title of the x axis.
        colours: the colour scale, from 0 for value 0 to 1 for `top` and above.
        top: upper end of the colour scale.
    """
    x_labels, y_labels = [escape(column) for column in columns], [escape(row) for row in rows]
    trace = {
        "type": "heatmap",
        "x": x_labels,
        "y": y_labels,
        "z": [list(row) for row in values],
        "zmin": 0,
        "zmax": top,
        "text": [[escape(text) for text in row] for row in texts],
        "texttemplate": "%{text}",
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
        "hoverongaps": False,
        "colorscale": [list(stop) for stop in colours],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    angle = 0 if len(x_labels) < ROTATED_FROM else -90
    x = axis(x_title, type="category", side="top", showgrid=False, ticks="", tickangle=angle)
    y = axis("", type="category", autorange="reversed", showgrid=False, ticks="")
    return figure(label, [trace], x, y, height=90 + 26 * len(y_labels))
