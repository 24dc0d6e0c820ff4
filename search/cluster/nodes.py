"""The nodes of a cluster: those that are alive, those that are pending, and how many trials they run at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.cluster import ray_compat
from trainables.errors import DropinError

GRACE_SECONDS = 15.0
"""How long a cluster may have no node for trials and none pending: right after `ray up` the head knows of no other."""
POLL_SECONDS = 1.0
"""Time between two looks at the nodes, while there are none for trials."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of a cluster.

    Attributes:
        alive: resources of each node that has joined, by Ray's names.
        max_resources: resources that the cluster may grow to in all, or ``None`` where its configuration says nothing.
        pending: how many more nodes the autoscaler is setting up, where there are no `max_resources`.
    """

    alive: Sequence[Mapping[str, float]]
    max_resources: Mapping[str, float] | None = None
    pending: int = 0

    @property
    def have_gpus(self) -> bool:
        """Whether there are GPUs, or will be."""
        return any(resources.get("GPU", 0) for resources in [*self.alive, self.max_resources or {}])

    def fit(self, cpus: float, gpus: float) -> tuple[int, str | None]:
        """How many trials run at once, and what they wait for.

        Pending nodes are taken to be like the largest of those that are alive.

        Args:
            cpus: CPU cores a trial.
            gpus: GPUs a trial.

        Returns:
            The number (at least 1), and ``None`` or what no node has yet.

        Raises:
            DropinError: no node can ever run a trial.
        """
        each = [_trials_on(resources, cpus, gpus) for resources in self.alive]
        now, later = sum(each), sum(each) + self.pending * max(each, default=0)
        if self.max_resources:
            later = _trials_on(self.max_resources, cpus, gpus)
        requested = f"{cpus:g} CPU and {gpus:g} GPU"
        if now == later == self.pending == 0:
            raise DropinError(
                f"a trial must fit on one node; it requests {requested}, and there is {self._describe()}: "
                "lower --cpus-per-trial or --gpus-per-trial, or see with `ray status` why nodes are missing"
            )
        return max(now, later, 1), None if now else f"a node with {requested}"

    def _describe(self) -> str:
        found = [
            f"{resources.get('CPU', 0):g} CPU and {resources.get('GPU', 0):g} GPU"
            for resources in filter(_takes_trials, self.alive)
        ]
        return " or ".join(found) or "no node that takes trials"


def cluster_nodes() -> Nodes:
    """The nodes of the cluster that this process has joined; waits a little where none takes trials or is pending."""
    until = time.monotonic() + GRACE_SECONDS
    while True:
        found = _current_nodes()
        if found.max_resources or found.pending or any(map(_takes_trials, found.alive)) or time.monotonic() > until:
            return found
        time.sleep(POLL_SECONDS)


def _current_nodes() -> Nodes:
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if max_resources := ray_compat.max_cluster_resources():
        return Nodes(alive, max_resources)
    return Nodes(alive, None, max(0, ray_compat.autoscaler_nodes() - len(alive)))


def _takes_trials(resources: Mapping[str, float]) -> bool:
    """Whether a node has resources that trials request; a cluster's head often has none."""
    return resources.get("CPU", 0) > 0 or resources.get("GPU", 0) > 0


def _trials_on(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many trials fit into these resources."""
    counts = [
        math.floor(resources.get(name, 0) / requested + 1e-9)
        for name, requested in (("CPU", cpus), ("GPU", gpus))
        if requested > 0
    ]
    return min(counts)
