from __future__ import annotations

import time
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cluster.ray_cluster import Cluster
from search.display import metrics
from search.display.metrics import GAUGES, STARTING, Gauges, Reading
from search.runs import pareto
from search.runs.front import Standings, best_of, front_of
from search.runs.record import Record

BASE = 1000
WAIT = 90.0
"""Seconds after which a gauge that has not appeared never will; Ray reports every ten."""


def complete(number: int, eer: float, size: int, **more: bool | int) -> Record:
    return Record(number, "COMPLETE", None, {}, eer=eer, size=size, weighted_eer=eer, **more)  # type: ignore[arg-type]


def told(*records: Record, size_base: int | None = BASE) -> Gauges:
    return Gauges("one", "plasticity", "resnet18", Standings(records), size_base)


def ended(run: Gauges, record: Record) -> None:
    """A trial ends: it is counted, and the gauges are told."""
    run._standings.add(record)
    run.trial_ended(record)


def values(told: Gauges) -> dict[tuple[str, str], float]:
    """By name and the gauge's own tag, if it has one."""
    return {(name, "".join(text for _, text in tags)): value for name, value, tags in told.readings()}


def test_a_run_that_has_just_begun() -> None:
    assert values(told()) == {
        ("dropin_trials", "COMPLETE"): 0,
        ("dropin_trials", "PRUNED"): 0,
        ("dropin_trials", "FAIL"): 0,
        ("dropin_trials_running", STARTING): 0,
        ("dropin_cache_hits", "activations"): 0,
        ("dropin_cache_hits", "growth"): 0,
        ("dropin_front_size", ""): 0,
        ("dropin_front_hypervolume", ""): 0,
    }
    assert ("dropin_front_hypervolume", "") not in values(told(size_base=None))


def test_how_it_stands_in_the_midst_of_a_run() -> None:
    run = told(complete(0, 0.3, 500), complete(1, 0.2, 1500, cached_links=2))
    ended(run, complete(2, 0.25, 400, from_growth_cache=True))  # beats trial 0
    ended(run, Record(3, "PRUNED", None, {}, eer=0.01, size=10))
    ended(run, Record(4, "FAIL", None, {}))
    for number, node in ((5, None), (6, "10.0.0.1"), (7, "10.0.0.1"), (8, "10.0.0.2")):
        run.trial_running(number)
        run.trial_running(number, node, 0.5 if node else None)
    ended(run, Record(8, "PRUNED", None, {}))
    found = values(run)
    assert found[("dropin_best_weighted_eer", "")] == 0.2
    assert found[("dropin_front_size", "")] == 2
    assert found[("dropin_step_seconds", "")] == 0.5
    eers = {tag: value for (name, tag), value in found.items() if name == "dropin_front_eer"}
    assert eers == {"0.50x": 0.25, "1.00x": 0.25, "2.00x": 0.2}  # front: 400 and 1500 of 1000
    assert [found[("dropin_trials", state)] for state in metrics.STATES] == [3, 2, 1]
    assert [found[("dropin_trials_running", node)] for node in (STARTING, "10.0.0.1", "10.0.0.2")] == [1, 2, 0]
    assert [found[("dropin_cache_hits", cache)] for cache in ("activations", "growth")] == [1, 1]


def test_a_trial_that_starts_anew_stays_where_it_was_known_to_be() -> None:
    run = told()
    run.trial_running(1, "10.0.0.1")
    run.trial_running(1)
    assert values(run)[("dropin_trials_running", "10.0.0.1")] == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), max_size=12), st.integers(0, 12))
def test_what_is_kept_along_the_way_is_what_all_trials_give(points: list[tuple[int, int]], earlier: int) -> None:
    records = [complete(number, eer / 10, 100 * size) for number, (eer, size) in enumerate(points)]
    run = told(*records[:earlier])
    for record in records[earlier:]:
        ended(run, record)
    found, best, front = values(run), best_of(records), front_of(records)
    assert found.get(("dropin_best_weighted_eer", "")) == (best.weighted_eer if best else None)
    assert found[("dropin_front_size", "")] == len(front)
    share = pareto.share([(one.eer or 0.0, one.size or 0) for one in front], BASE)
    assert found[("dropin_front_hypervolume", "")] == pytest.approx(share)


def test_every_reading_has_its_gauge_and_its_tags() -> None:
    run = told(complete(0, 0.3, 500))
    run.trial_running(1, "10.0.0.1", 0.5)
    assert {reading.name for reading in run.readings()} == set(GAUGES)
    assert all(tuple(tag for tag, _ in one.tags) == GAUGES[one.name][1] for one in run.readings())


def test_readings_are_published_again_and_again_but_not_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, published = 100.0, []

    class Set:
        def __init__(self, name: str, about: str, tags: tuple[str, ...]) -> None:
            self.name = name

        def set(self, value: float, tags: dict[str, str]) -> None:
            published.append((now, self.name))

    monkeypatch.setattr(metrics, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(metrics, "Gauge", Set)
    run = told()
    for _ in range(100):
        run.publish_if_due()
        now += 1.0
    times = sorted({at for at, _ in published})
    assert len(times) == 20
    assert max(np.diff(times)) < 20.0  # when Ray forgets them
    run.finish()
    assert published[-1][0] == now


def test_gauges_appear_on_rays_endpoint_with_their_tags(workers: Cluster) -> None:
    import ray

    run = told(complete(0, 0.125, 500))
    run.trial_running(1, "10.0.0.1", 0.5)
    node = ray.nodes()[0]
    endpoint = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    wanted = [*run.readings(), Reading("dropin_best_weighted_eer", 0.125)]

    def published(reading: Reading) -> list[float]:
        """Values of its lines."""
        tags = {"run": "one", "space": "plasticity", "model": "resnet18", **dict(reading.tags)}
        own = [line for line in lines if line.startswith(f"ray_{reading.name}{{")]
        own = [line for line in own if all(f'{tag}="{text}"' in line for tag, text in tags.items())]
        return [float(line.rsplit(" ", 1)[1]) for line in own]

    end, lines = time.monotonic() + WAIT, [""]
    while time.monotonic() < end and not all(map(published, wanted)):  # Ray reports them one after the other
        run.publish()
        time.sleep(1.0)
        with urllib.request.urlopen(endpoint) as answer:
            lines = answer.read().decode().splitlines()
    for reading in wanted:
        assert published(reading) == [pytest.approx(reading.value)], reading
