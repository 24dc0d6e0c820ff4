"""What all plots have in common: plain data for plotly, text that is only text, and colours by their name.

A colour is the name of a property in page.css. The page puts the value in, which is another one in dark mode.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figure = dict[str, Any]
"""``data`` and ``layout`` as plotly takes them, ``label`` for who cannot see the plot, ``zoom`` where that helps."""
LINE = 52
"""Characters of a line of what a point says, so that it fits a phone."""
FEW = 9
"""From so many columns of a heat map on their names are turned, so that they fit a phone, too."""


def plain(text: object) -> str:
    """Text that plotly, which knows some HTML, shows as it is."""
    return html.escape(str(text), quote=False)


def lines(texts: Iterable[str]) -> str:
    """Texts one below the other, long ones broken, as plotly shows them."""
    return "<br>".join(plain(line) for text in texts for line in textwrap.wrap(text, LINE))


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis; `more` goes to plotly as it is."""
    return {
        "title": {"text": plain(title), "standoff": 10, "font": {"size": 13}},
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
    """A plot.

    Args:
        label: what it shows, in words.
        data: traces.
        x, y: axes (`axis`).
        height: in pixels; as wide as there is room.
        zoom: whether a mouse zooms in.
        layout: goes to plotly as it is.
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
    across: str,
    colours: Sequence[tuple[float, str]],
    top: float,
) -> Figure:
    """Coloured cells with a text in each.

    Args:
        label: what it shows, in words.
        columns, rows: their names.
        values: of every row; the cell's colour. ``None`` leaves it empty.
        texts: of every row; the cell's text.
        across: what the columns are.
        colours: from 0 for the value 0 to 1 for `top` and above.
        top: largest value that is told from others.
    """
    names, heads = [plain(row) for row in rows], [plain(column) for column in columns]
    trace = {
        "type": "heatmap",
        "x": heads,
        "y": names,
        "z": [list(row) for row in values],
        "zmin": 0,
        "zmax": top,
        "text": [[plain(text) for text in row] for row in texts],
        "texttemplate": "%{text}",
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
        "hoverongaps": False,
        "colorscale": [list(stop) for stop in colours],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    turned = 0 if len(heads) < FEW else -90
    x = axis(across, type="category", side="top", showgrid=False, ticks="", tickangle=turned)
    y = axis("", type="category", autorange="reversed", showgrid=False, ticks="")
    return figure(label, [trace], x, y, height=90 + 26 * len(names))
