"""Cost of the trials: time by final state and by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.page.figure import Figure, axis, escape, figure
from search.runs.record import Record
from search.settings.options import Settings

STATES = (
    ("completed", "COMPLETE", "--front"),
    ("stopped early", "PRUNED", "--stopped"),
    ("failed", "FAIL", "--recipe"),
)
"""Name, Optuna state and colour of the groups of trials."""


@dataclass(frozen=True)
class Cost:
    """Cost of some trials.

    Attributes:
        name: of the group of trials.
        trials: number of trials.
        seconds: sum of their durations.
        cpu_seconds: sum of their durations times the CPUs of each.
        gpu_seconds: sum of their durations times the GPUs of each.
    """

    name: str
    trials: int
    seconds: float
    cpu_seconds: float
    gpu_seconds: float


def costs(records: Sequence[Record], settings: Settings) -> list[Cost]:
    """Costs by final state, without empty groups, then of all trials; an unknown duration counts as 0.

    Records of earlier versions have no resources; then those of the run's settings are used.
    """
    found = [
        _cost(name, [one for one in records if one.state == state], settings)
        for name, state, _ in STATES
        if any(one.state == state for one in records)
    ]
    return [*found, _cost("all", records, settings)]


def _cost(name: str, records: Sequence[Record], settings: Settings) -> Cost:
    cpu = gpu = 0.0
    for one in records:
        cpu += (one.seconds or 0.0) * (settings.cpus_per_trial if one.cpus is None else one.cpus)
        gpu += (one.seconds or 0.0) * ((settings.gpus_per_trial or 0.0) if one.gpus is None else one.gpus)
    return Cost(name, len(records), sum(one.seconds or 0.0 for one in records), cpu, gpu)


def seconds_by_part(records: Sequence[Record]) -> dict[str, float]:
    """Seconds of all trials by part (setup, training, ...), the longest first; parts of 0 seconds are left out."""
    totals: dict[str, float] = {}
    for one in records:
        for part, seconds in one.seconds_parts.items():
            totals[part] = totals.get(part, 0.0) + seconds
    return dict(sorted(((part, total) for part, total in totals.items() if total > 0), key=lambda pair: -pair[1]))


def cost_figures(records: Sequence[Record]) -> dict[str, Figure]:
    """A histogram of the trials' durations, and bars of seconds by part; a figure without data is left out."""
    figures = {}
    timed = [one for one in records if one.seconds is not None]
    if timed:
        traces = [
            {
                "type": "histogram",
                "name": name,
                "x": [one.seconds for one in timed if one.state == state],
                "marker": {"color": colour},
                "nbinsx": 24,
                "hovertemplate": f"%{{y}} {name}, %{{x}} s<extra></extra>",
            }
            for name, state, colour in STATES
            if any(one.state == state for one in timed)
        ]
        figures["times"] = figure(
            "histogram of the trials' durations in seconds",
            traces,
            axis("duration of a trial, s", rangemode="tozero"),
            axis("trials", rangemode="tozero"),
            barmode="stack",
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        )
    spent = seconds_by_part(records)
    if spent:
        trace = {
            "type": "bar",
            "orientation": "h",
            "y": [escape(part) for part in spent],
            "x": list(spent.values()),
            "marker": {"color": "--front"},
            "hovertemplate": "%{y}: %{x:.1f} s<extra></extra>",
        }
        figures["parts"] = figure(
            "seconds of all trials by part",
            [trace],
            axis("seconds of all trials", rangemode="tozero"),
            axis("", type="category", autorange="reversed", showgrid=False),
        )
    return figures
