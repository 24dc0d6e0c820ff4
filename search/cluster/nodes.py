"""The machines of a cluster: those that are there, those that are to come, and how many trials they hold at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.cluster import ray_compat
from trainables.errors import DropinError

GRACE = 15.0
"""Seconds that a cluster without a single machine for trials gets: right after `ray up` the head knows of no other."""
PAUSE = 1.0


@dataclass(frozen=True)
class Nodes:
    """What a cluster consists of.

    Attributes:
        there: resources of each machine that has joined, by Ray's names.
        promised: resources that the cluster may grow to in all, or ``None`` where nobody knows before machines join.
        coming: how many more machines Ray is setting up, where nothing is promised.
    """

    there: Sequence[Mapping[str, float]]
    promised: Mapping[str, float] | None = None
    coming: int = 0

    @property
    def have_gpus(self) -> bool:
        """Whether there are GPUs, or will be."""
        return any(machine.get("GPU", 0) for machine in [*self.there, self.promised or {}])

    def fit(self, cpus: float, gpus: float) -> tuple[int, str | None]:
        """How many trials run at once, and what they wait for.

        Machines that are still to come are taken to be like the largest of those that are there.

        Args:
            cpus: CPU cores a trial.
            gpus: GPUs a trial.

        Returns:
            The number (at least 1), and ``None`` or what no machine has yet.

        Raises:
            DropinError: no machine can ever hold a trial.
        """
        each = [_holds(machine, cpus, gpus) for machine in self.there]
        now = sum(each)
        later = _holds(self.promised, cpus, gpus) if self.promised else now + self.coming * max(each, default=0)
        asked = f"{cpus:g} CPU and {gpus:g} GPU"
        if now == later == self.coming == 0:
            raise DropinError(
                f"a trial must fit on one machine; it asks for {asked}, and there is {self._offer()}: "
                "lower --cpus-per-trial or --gpus-per-trial, or see with `ray status` why machines are missing"
            )
        return max(now, later, 1), None if now else f"a machine with {asked}"

    def _offer(self) -> str:
        able = filter(_works, self.there)
        offers = [f"{machine.get('CPU', 0):g} CPU and {machine.get('GPU', 0):g} GPU" for machine in able]
        return " or ".join(offers) or "no machine that takes trials"


def look() -> Nodes:
    """The machines of the cluster that this process has joined; waits a little where none is there or to come."""
    until = time.monotonic() + GRACE
    while True:
        found = _look()
        if found.promised or found.coming or any(map(_works, found.there)) or time.monotonic() > until:
            return found
        time.sleep(PAUSE)


def _look() -> Nodes:
    import ray

    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if promised := ray_compat.max_cluster_resources():
        return Nodes(there, promised)
    return Nodes(there, None, max(0, ray_compat.autoscaler_nodes() - len(there)))


def _works(machine: Mapping[str, float]) -> bool:
    return machine.get("CPU", 0) > 0 or machine.get("GPU", 0) > 0


def _holds(machine: Mapping[str, float], cpus: float, gpus: float) -> int:
    counts = [
        math.floor(machine.get(name, 0) / asked + 1e-9) for name, asked in (("CPU", cpus), ("GPU", gpus)) if asked > 0
    ]
    return min(counts)
