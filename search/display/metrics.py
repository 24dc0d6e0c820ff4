"""Metrics of a running search: gauges on Ray's metrics endpoint, which Prometheus scrapes.

Every node of a Ray cluster has such an endpoint; these appear on that of the driver's node, with the prefix ``ray_``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ray.util.metrics import Gauge

from search.display.grafana import SIZES
from search.runs import pareto
from search.runs.front import Standings
from search.runs.record import Record

REPEAT = 5.0
"""Seconds between two publications. Ray drops a gauge that was not set for two of its reports, 20 s by default."""
STATES = ("COMPLETE", "PRUNED", "FAIL")
STARTING = "starting"
"""The node of a trial whose node is not known yet, as it is reported with the first epoch."""
COMMON = ("run", "space", "model")
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dropin_best_weighted_eer": ("lowest weighted EER of a complete trial, a fraction", ()),
    "dropin_front_size": ("detectors on the front of EER and size", ()),
    "dropin_front_eer": ("lowest EER on the front at no more than a multiple of the base's size", ("at_most",)),
    "dropin_front_hypervolume": ("what the front dominates in EER and log size, as a share", ()),
    "dropin_trials": ("ended trials by how they ended", ("state",)),
    "dropin_trials_running": ("trials under way by node", ("node",)),
    "dropin_step_seconds": ("mean seconds of a training step, in the latest epoch that ended", ()),
    "dropin_cache_hits": (
        "ended trials that outputs of frozen layers, or a grown stage, were there for",
        ("cache",),
    ),
}
"""Names with what they say and their tags beside `COMMON`."""


class Reading(NamedTuple):
    """A value to publish: its name, and its tags beside the common ones."""

    name: str
    value: float
    tags: tuple[tuple[str, str], ...] = ()


class Gauges:
    """The gauges of a run.

    Values are set again every few seconds, since Ray drops those that are not. So nothing stays of a run that ended,
    or whose process was killed: its series leave the endpoint within half a minute, and a gauge that is there belongs
    to a run that goes on. What Prometheus has scraped by then stays in its history, under the run's name. A run that is
    resumed publishes under the same name; its counts go on from the trial log.
    """

    def __init__(self, run: str, space: str, model: str, standings: Standings, size_base: int | None = None) -> None:
        """Publish under these tags.

        Args:
            run: the run's name.
            space: what it searches.
            model: what it grows.
            standings: how its trials stand, kept up to date elsewhere.
            size_base: the base's number of parameters; without it the front's size is not judged by it.
        """
        self._common = dict(zip(COMMON, (run, space, model), strict=True))
        self._size_base = size_base
        self._running: dict[int, str] = {}
        self._nodes: set[str] = set()
        self._seconds_step: float | None = None
        self._gauges: dict[str, Gauge] = {}
        self._standings = standings
        self._next = 0.0

    def trial_running(self, number: int, node: str | None = None, seconds_step: float | None = None) -> None:
        """A trial is running: on which node, if it is known, and how long its steps take."""
        self._running[number] = node or self._running.get(number, STARTING)
        self._nodes.add(self._running[number])
        self._seconds_step = seconds_step or self._seconds_step

    def trial_ended(self, record: Record) -> None:
        """A trial ended, and is counted in the standings."""
        self._running.pop(record.number, None)

    def finish(self) -> None:
        """No trial is running any more."""
        self._running.clear()
        self.publish()

    def publish_if_due(self) -> None:
        """Publish, unless that was done just now."""
        if time.monotonic() >= self._next:
            self.publish()

    def readings(self) -> list[Reading]:
        """The current values; those that are not known yet are left out."""
        found = [Reading("dropin_trials", self._standings.states[state], (("state", state),)) for state in STATES]
        at_work = Counter(self._running.values())
        found += [
            Reading("dropin_trials_running", at_work[node], (("node", node),)) for node in sorted(self._nodes)
        ] or [Reading("dropin_trials_running", 0, (("node", STARTING),))]
        found += [
            Reading("dropin_cache_hits", self._standings.cache_hits[cache], (("cache", cache),))
            for cache in ("activations", "growth")
        ]
        found.append(Reading("dropin_front_size", len(self._standings.front)))
        if self._size_base is not None:
            points = _points(self._standings.front)
            found.append(Reading("dropin_front_hypervolume", pareto.share(points, self._size_base)))
            for name, share in SIZES.items():
                within = [eer for eer, size in points if size <= share * self._size_base]
                if within:
                    found.append(Reading("dropin_front_eer", min(within), (("at_most", name),)))
        if self._standings.best is not None and self._standings.best.weighted_eer is not None:
            found.append(Reading("dropin_best_weighted_eer", self._standings.best.weighted_eer))
        if self._seconds_step is not None:
            found.append(Reading("dropin_step_seconds", self._seconds_step))
        return found

    def publish(self) -> None:
        """Hand all readings to Ray, which reports them some seconds later."""
        for reading in self.readings():
            if reading.name not in self._gauges:
                about, tags = GAUGES[reading.name]
                self._gauges[reading.name] = Gauge(reading.name, about, (*COMMON, *tags))
            self._gauges[reading.name].set(reading.value, {**self._common, **dict(reading.tags)})
        self._next = time.monotonic() + REPEAT


def _points(front: Sequence[Record]) -> list[tuple[float, int]]:
    return [(r.eer, r.size) for r in front if r.eer is not None and r.size is not None]
