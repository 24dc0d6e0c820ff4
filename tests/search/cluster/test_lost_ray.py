"""What the watchdog asks Ray, on a real one."""

from __future__ import annotations

from typing import Any

import pytest
import ray

from search.cluster import ray_compat
from search.cluster.ray_cluster import Cluster


def test_a_process_of_ray_that_died_is_known_and_its_name_is_rays(
    workers: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    node: Any = ray._private.worker._global_node
    assert {"gcs_server", "raylet"} <= set(node.all_processes)
    assert ray_compat.lost_process() is None
    for name, said in (("raylet", "raylet"), ("gcs_server", "GCS"), ("log_monitor", None)):
        with monkeypatch.context() as patch:
            patch.setattr(node, "dead_processes", lambda name=name: [(name, None)])
            found = ray_compat.lost_process()
        assert (found is None) if said is None else (found is not None and said in found)


def test_this_node_is_alive_to_the_cluster(workers: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ray_compat.own_node_alive()
    known = [{**node, "Alive": False} for node in ray.nodes()]
    monkeypatch.setattr(ray, "nodes", lambda: known)
    assert not ray_compat.own_node_alive()
