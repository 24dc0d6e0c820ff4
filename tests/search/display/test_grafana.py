"""The dashboard for Grafana: what it shows is published, and it is what Grafana takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from search.display import grafana
from search.display.metrics import GAUGES

OF_RAY = {"ray_node_gpus_utilization", "ray_node_cpu_utilization"}


def test_the_dashboard_shows_every_gauge_and_nothing_that_is_not_published() -> None:
    shown = {name for chart in grafana.CHARTS for text, _ in chart.lines for name in re.findall(r"ray_\w+", text)}
    assert shown == {f"ray_{name}" for name in GAUGES} | OF_RAY


def test_legends_name_labels_that_their_lines_have() -> None:
    for chart in grafana.CHARTS:
        for expression, legend in chart.lines:
            by = re.search(r"by \(([^)]*)\)", expression)
            assert by is not None, chart.title
            assert set(re.findall(r"{{(\w+)}}", legend)) == set(by[1].split(", ")), chart.title


def test_the_dashboard_is_whole() -> None:
    board = grafana.dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len(grafana.CHARTS)
    assert all(target["datasource"] == grafana.SOURCE for panel in panels for target in panel["targets"])
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken
        taken |= cells
    assert [one["name"] for one in board["templating"]["list"]] == ["run"]
    assert json.loads(json.dumps(board)) == board


def test_grafanas_own_types_know_all_that_the_dashboard_says() -> None:
    plugins.register_default_plugins()
    board = grafana.dashboard()
    assert not list(lost(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board)))))
    board["panels"][0]["fieldConfig"]["defaults"]["units"] = "s"
    assert list(lost(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board)))))


def lost(said: Any, understood: Any, place: str = "") -> Iterator[str]:
    """Where something is said that does not come back the same."""
    if isinstance(said, dict):
        for name, value in said.items():
            yield from lost(value, understood.get(name), f"{place}/{name}")
    elif isinstance(said, list):
        for index, value in enumerate(said):
            yield from lost(value, understood[index], f"{place}/{index}")
    elif said != understood:
        yield place
