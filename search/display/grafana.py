"""The dashboard of a run for Grafana, as data: charts of all that gauges say, and two of the machines. No Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

SOURCE = {"type": "prometheus", "uid": "dropin-prometheus"}
"""The source of all charts, as Grafana is told of it."""
UID = "dropin"
SIZES = {f"{share:.2f}x": share for share in (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)}
"""Where the front is looked at: multiples of the base's size, by the names that trials are given by as well."""
COLUMNS, WIDTH, HEIGHT = 2, 12, 8
"""Charts in a row, and what each takes of Grafana's grid, which is 24 wide."""
RUN = '{run=~"$run"}'
"""Of the runs that are chosen at the top of the page."""


class Chart(NamedTuple):
    """A chart of values over time, or of the latest values.

    Attributes:
        title: its title.
        about: what its mouse-over explains.
        unit: of its values, by Grafana's names.
        lines: what is drawn: an expression of Prometheus, and the name of its lines.
        now: whether a bar shows the latest value of each, instead of a line all of them.
    """

    title: str
    about: str
    unit: str
    lines: Sequence[tuple[str, str]]
    now: bool = False


# A resumed run publishes from another process under the same name: the greatest of a run's series is the present one.
CHARTS = (
    Chart(
        "Best weighted EER",
        "The lowest of a complete trial, on dev.",
        "percentunit",
        ((f"min by (run) (ray_dropin_best_weighted_eer{RUN})", "{{run}}"),),
    ),
    Chart(
        "EER against size",
        "The front as it stands: the lowest EER of a detector of at most that multiple of the base's size, on dev.",
        "percentunit",
        [
            (f'min by (run) (ray_dropin_front_eer{{run=~"$run",at_most="{size}"}})', f"{{{{run}}}} {size}")
            for size in SIZES
        ],
        now=True,
    ),
    Chart(
        "The front over time",
        "The lowest EER of a detector of at most that multiple of the base's size, on dev.",
        "percentunit",
        ((f"min by (run, at_most) (ray_dropin_front_eer{RUN})", "{{run}} {{at_most}}"),),
    ),
    Chart(
        "Hypervolume of the front",
        "What the front dominates, up to an EER of 50 % and twice the base's size, as a share.",
        "none",
        ((f"max by (run) (ray_dropin_front_hypervolume{RUN})", "{{run}}"),),
    ),
    Chart(
        "Detectors on the front",
        "Members of the front of EER and size.",
        "none",
        ((f"max by (run) (ray_dropin_front_size{RUN})", "{{run}}"),),
    ),
    Chart(
        "Ended trials",
        "By how they ended: COMPLETE, PRUNED (stopped early) or FAIL.",
        "none",
        ((f"max by (run, state) (ray_dropin_trials{RUN})", "{{run}} {{state}}"),),
    ),
    Chart(
        "Trials under way",
        "By the node that they run on.",
        "none",
        ((f"sum by (node) (ray_dropin_trials_running{RUN})", "{{node}}"),),
    ),
    Chart(
        "Seconds a training step",
        "The mean of the latest epoch that ended, of any trial.",
        "s",
        ((f"max by (space, model) (ray_dropin_step_seconds{RUN})", "{{space}} {{model}}"),),
    ),
    Chart(
        "Trials that a cache helped",
        "Of the ended ones: those that took outputs of frozen layers, or a grown stage, as others had left them.",
        "none",
        ((f"max by (run, cache) (ray_dropin_cache_hits{RUN})", "{{run}} {{cache}}"),),
    ),
    Chart(
        "GPU use",
        "Of every GPU that Ray knows.",
        "percent",
        (("max by (ip, GpuIndex) (ray_node_gpus_utilization)", "{{ip}} GPU {{GpuIndex}}"),),
    ),
    Chart(
        "CPU use",
        "Of all cores of a node.",
        "percent",
        (("max by (ip) (ray_node_cpu_utilization)", "{{ip}}"),),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it from a file."""
    return {
        "uid": UID,
        "title": "Dropin",
        "tags": ["dropin"],
        "schemaVersion": 36,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_choice_of_runs()]},
        "panels": [_panel(place, chart) for place, chart in enumerate(CHARTS)],
    }


def _choice_of_runs() -> dict[str, Any]:
    query = "label_values(ray_dropin_front_size, run)"
    return {
        **{"name": "run", "label": "Run", "type": "query", "datasource": SOURCE},
        **{"query": {"query": query, "refId": "runs"}, "refresh": 2, "sort": 1},
        **{"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}},
    }


def _panel(place: int, chart: Chart) -> dict[str, Any]:
    row, column = divmod(place, COLUMNS)
    over_time = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    latest = {"orientation": "vertical", "displayMode": "basic", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "id": place + 1,
        "type": "bargauge" if chart.now else "timeseries",
        "title": chart.title,
        "description": chart.about,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": chart.unit, "min": 0}, "overrides": []},
        "options": latest if chart.now else over_time,
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": chart.now,
            }
            for i, (expression, legend) in enumerate(chart.lines)
        ],
    }
