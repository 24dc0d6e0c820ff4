from __future__ import annotations

import os
import queue

import pytest

from search.cluster import ray_compat
from search.running import interruption, watchdog
from search.running.watchdog import ORPHANED, RAY_LOST, Watchdog


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PERIOD", 0.01)


class Watched:
    """A watchdog whose process does not end; what it told and with which status it would have."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.statuses: queue.Queue[int] = queue.Queue()
        self.dog = Watchdog(self.told.append, self.statuses.put)

    def status(self) -> int:
        return self.statuses.get(timeout=60)


def test_a_lost_process_of_ray_ends_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_compat, "lost_process", lambda: "the raylet has died")
    watched = Watched()
    with watched.dog.ray(None):
        assert watched.status() == RAY_LOST
    assert watched.told == ["the raylet has died"]


def test_one_look_at_a_process_that_is_being_ended_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None, "the raylet has died", None, None, "the raylet has died", "the raylet has died"])
    monkeypatch.setattr(ray_compat, "lost_process", lambda: next(looks))
    watched = Watched()
    with watched.dog.ray(None):
        assert watched.status() == RAY_LOST
    assert next(looks, "all were needed") == "all were needed"


def test_a_cluster_without_an_answer_ends_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOKS_WITHOUT_ANSWER", 5)

    def silent() -> bool:
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(ray_compat, "own_node_alive", silent)
    watched = Watched()
    with watched.dog.ray("127.0.0.1:1"):
        assert watched.status() == RAY_LOST
    assert watched.told == ["the cluster does not answer"]


def test_a_node_that_has_left_the_cluster_ends_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_compat, "own_node_alive", lambda: False)
    watched = Watched()
    with watched.dog.ray("127.0.0.1:1"):
        assert watched.status() == RAY_LOST
    assert watched.told == ["this machine's node has left the cluster"]


def test_an_end_that_takes_too_long_ends_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_compat, "lost_process", lambda: None)
    monkeypatch.setattr(interruption, "seconds_since", lambda: watchdog.GRACE + 1)
    watched = Watched()
    with watched.dog.ray(None):
        assert watched.status() == RAY_LOST
    assert watched.told == ["Ray does not end"]


def test_a_driver_without_its_supervisor_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert watched.status() == ORPHANED
