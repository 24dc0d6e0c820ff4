"""What the trials cost: time, and what it was spent on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.page.figure import Figure, axis, figure, plain
from search.runs.record import Record
from search.settings.options import Settings

ENDINGS = (("ran to their end", "COMPLETE", "--front"), ("stopped early", "PRUNED", "--stopped"),
           ("failed", "FAIL", "--recipe"))  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What some trials cost.

    Attributes:
        what: which trials.
        trials: how many.
        seconds: how long they took, one after the other.
        cpu_seconds: seconds times the CPUs that each had to itself.
        gpu_seconds: the same for GPUs.
    """

    what: str
    trials: int
    seconds: float
    cpu_seconds: float
    gpu_seconds: float


def costs(records: Sequence[Record], settings: Settings) -> list[Cost]:
    """By how trials ended, those that there are, then all; trials that do not say how long they took count as 0.

    A record of an earlier version does not say what its trial had to itself; then it is what the run was asked for.
    """
    found = [
        _cost(what, [one for one in records if one.state == state], settings)
        for what, state, _ in ENDINGS
        if any(one.state == state for one in records)
    ]
    return [*found, _cost("all", records, settings)]


def _cost(what: str, records: Sequence[Record], settings: Settings) -> Cost:
    cpu = gpu = 0.0
    for one in records:
        cpu += (one.seconds or 0.0) * (settings.cpus_per_trial if one.cpus is None else one.cpus)
        gpu += (one.seconds or 0.0) * ((settings.gpus_per_trial or 0.0) if one.gpus is None else one.gpus)
    return Cost(what, len(records), sum(one.seconds or 0.0 for one in records), cpu, gpu)


def parts(records: Sequence[Record]) -> dict[str, float]:
    """Seconds of all trials by what they did, the longest first; what took no time is left out."""
    found: dict[str, float] = {}
    for one in records:
        for part, seconds in one.seconds_parts.items():
            found[part] = found.get(part, 0.0) + seconds
    return dict(sorted(((part, total) for part, total in found.items() if total > 0), key=lambda one: -one[1]))


def cost_figures(records: Sequence[Record]) -> dict[str, Figure]:
    """A histogram of the time of trials, and bars of what it was spent on; what is not known is left out."""
    figures = {}
    timed = [one for one in records if one.seconds is not None]
    if timed:
        traces = [
            {
                "type": "histogram",
                "name": what,
                "x": [one.seconds for one in timed if one.state == state],
                "marker": {"color": colour},
                "nbinsx": 24,
                "hovertemplate": f"%{{y}} {what}, %{{x}} s<extra></extra>",
            }
            for what, state, colour in ENDINGS
            if any(one.state == state for one in timed)
        ]
        figures["times"] = figure(
            "histogram of the seconds that trials took",
            traces,
            axis("seconds of a trial", rangemode="tozero"),
            axis("trials", rangemode="tozero"),
            barmode="stack",
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        )
    spent = parts(records)
    if spent:
        trace = {
            "type": "bar",
            "orientation": "h",
            "y": [plain(part) for part in spent],
            "x": list(spent.values()),
            "marker": {"color": "--front"},
            "hovertemplate": "%{y}: %{x:.1f} s<extra></extra>",
        }
        figures["parts"] = figure(
            "seconds of all trials by what they did",
            [trace],
            axis("seconds of all trials", rangemode="tozero"),
            axis("", type="category", autorange="reversed", showgrid=False),
        )
    return figures
