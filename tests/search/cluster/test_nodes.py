"""What nodes a cluster has, what it will have, and how many trials they run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cluster import nodes, ray_compat
from search.cluster.nodes import Nodes, cluster_nodes
from search.cluster.ray_cluster import Cluster

HEAD = {"CPU": 0.0, "GPU": 0.0}


@pytest.mark.parametrize(
    ("found", "cpus", "gpus", "expected"),
    [
        (Nodes([{"CPU": 2.0}]), 1, 0, (2, None)),
        (Nodes([{"CPU": 2.0}]), 2, 0, (1, None)),
        (Nodes([{"CPU": 7.0}, {"CPU": 3.0}]), 2, 0, (4, None)),
        (Nodes([{"CPU": 16.0, "GPU": 1.0}]), 1, 0.25, (4, None)),
        (Nodes([HEAD], {"CPU": 32, "GPU": 4}), 4, 1, (4, "a node with 4 CPU and 1 GPU")),
        (Nodes([{"CPU": 8.0, "GPU": 1.0}], {"CPU": 32, "GPU": 4}), 4, 1, (4, None)),
        (Nodes([HEAD], None, 2), 1, 0, (1, "a node with 1 CPU and 0 GPU")),
        (Nodes([HEAD, {"CPU": 4.0}, {"CPU": 2.0}], None, 2), 1, 0, (14, None)),
    ],
)
def test_how_many_trials_fit(found: Nodes, cpus: float, gpus: float, expected: tuple[int, str | None]) -> None:
    assert found.fit(cpus, gpus) == expected


@pytest.mark.parametrize(("cpus", "gpus"), [(4, 0), (1, 1)])
def test_what_no_node_will_ever_have_is_rejected(cpus: float, gpus: float) -> None:
    # Two nodes of 3 CPUs do not make one of 4.
    with pytest.raises(ValueError, match=r"3 CPU and 0 GPU.*lower --cpus-per-trial or --gpus-per-trial"):
        Nodes([{"CPU": 3.0}, {"CPU": 3.0}]).fit(cpus, gpus)


def test_a_head_alone_is_no_node_for_trials() -> None:
    with pytest.raises(ValueError, match=r"there is no node that takes trials.*`ray status`"):
        Nodes([HEAD]).fit(1, 0)


resources = st.fixed_dictionaries({"CPU": st.integers(0, 64).map(float), "GPU": st.integers(0, 8).map(float)})


@given(st.lists(resources, min_size=1, max_size=6), st.integers(0, 4), st.integers(1, 8), st.sampled_from([0, 0.25, 1]))
def test_what_fits_never_asks_for_more_than_there_is(
    alive: list[dict[str, float]], pending: int, cpus: int, gpus: float
) -> None:
    try:
        concurrent, waiting = Nodes(alive, None, pending).fit(cpus, gpus)
    except ValueError:
        assert not pending
        assert not any(node["CPU"] >= cpus and node["GPU"] >= gpus for node in alive)
        return
    assert concurrent >= 1
    if waiting is None:
        most = max(node["CPU"] for node in alive) * pending + sum(node["CPU"] for node in alive)
        assert concurrent * cpus <= most


class Gcs:
    """What Ray is asked, answered as a head does that knows some nodes, of which some have joined."""

    max_resources: dict[str, float] | None = None

    def __init__(self, monkeypatch: pytest.MonkeyPatch, known: list[int], alive: list[int]) -> None:
        """`known` is what the autoscaler counts each time that it is asked, the head included."""
        self.asked = 0
        self._known, self._alive = known, alive
        monkeypatch.setattr("ray.nodes", self._nodes)
        monkeypatch.setattr(ray_compat, "autoscaler_nodes", self._autoscaler_nodes)
        monkeypatch.setattr(ray_compat, "max_cluster_resources", lambda: self.max_resources)
        monkeypatch.setattr(nodes, "POLL_SECONDS", 0.001)

    def _nodes(self) -> list[dict[str, Any]]:
        workers = self._alive[min(self.asked, len(self._alive) - 1)]
        there = [HEAD, *({"CPU": 2.0} for _ in range(workers))]
        return [{"Alive": True, "Resources": one} for one in there] + [{"Alive": False, "Resources": {"CPU": 9.0}}]

    def _autoscaler_nodes(self) -> int:
        known = self._known[min(self.asked, len(self._known) - 1)]
        self.asked += 1
        return known


def test_nodes_that_the_autoscaler_knows_and_that_have_not_joined_are_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    Gcs(monkeypatch, [5], alive=[1])
    assert cluster_nodes() == Nodes([HEAD, {"CPU": 2.0}], None, 3)


def test_a_head_that_knows_of_nobody_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gcs = Gcs(monkeypatch, [0, 1, 3], alive=[0])
    assert cluster_nodes() == Nodes([HEAD], None, 2)
    assert gcs.asked == 3


def test_maximum_resources_count_whatever_is_being_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    Gcs(monkeypatch, [3], alive=[0]).max_resources = {"CPU": 8, "GPU": 0}
    found = cluster_nodes()
    assert found == Nodes([HEAD], {"CPU": 8, "GPU": 0}, 0)
    with pytest.raises(ValueError, match="requests 1 CPU and 1 GPU"):
        found.fit(1, 1)


def test_a_head_that_stays_alone_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    gcs = Gcs(monkeypatch, [0], alive=[0])
    monkeypatch.setattr(nodes, "GRACE_SECONDS", 0.05)
    assert cluster_nodes() == Nodes([HEAD], None, 0)
    assert gcs.asked > 1


def test_ones_own_ray_is_known_at_once(workers: Cluster) -> None:
    found = cluster_nodes()
    assert found.pending == 0
    assert found.max_resources is None
    assert found.fit(1, 0)[0] >= workers.concurrent
