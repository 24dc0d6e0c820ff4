from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import project_file
from search.cluster import ray_cluster, ray_compat
from search.cluster.nodes import Nodes
from search.cluster.ray_cluster import (
    Cluster,
    check_origin,
    prepare,
    ready,
    share,
    starting,
    stream,
    tunnel,
)


def test_the_projects_packages_come_from_one_folder() -> None:
    assert (check_origin() / "search" / "cluster" / "ray_cluster.py").is_file()


@pytest.mark.parametrize("file", ["/elsewhere/site-packages/spaces/__init__.py", None])
def test_a_foreign_package_is_named(file: str | None) -> None:
    modules = {}
    for name in ray_cluster.PACKAGES:
        modules[name] = ModuleType(name)
        modules[name].__file__ = f"/home/me/dropin/{name}/__init__.py"
    modules["spaces"].__file__ = file
    modules["spaces"].__path__ = ["/elsewhere/site-packages/spaces"]
    with pytest.raises(ValueError, match="spaces is /elsewhere/site-packages/spaces"):
        check_origin(modules)


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable of Ray's is set, and there is no token; the file where one would be."""
    for name in [
        *ray_compat.ENVIRONMENT,
        *ray_compat.LOCAL_ENVIRONMENT,
        *(name for name in os.environ if name.startswith("RAY_")),
    ]:
        monkeypatch.setenv(name, "")  # so that what the test leaves is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    return tmp_path / "token"


def test_a_cluster_of_ones_own_asks_for_a_token(bare_environment: Path) -> None:
    prepare(None)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_only_a_cluster_of_ones_own_is_kept_to_this_machine(bare_environment: Path) -> None:
    prepare("auto")
    assert not set(ray_compat.LOCAL_ENVIRONMENT) & set(os.environ)
    prepare(None)
    assert {name: os.environ[name] for name in ray_compat.LOCAL_ENVIRONMENT} == dict(ray_compat.LOCAL_ENVIRONMENT)


@pytest.mark.parametrize("there", [True, False])
def test_an_existing_cluster_is_met_with_a_token_if_there_is_one(there: bool, bare_environment: Path) -> None:
    if there:
        bare_environment.write_text("secret")
    prepare("auto")
    assert os.environ["RAY_AUTH_MODE"] == ("token" if there else "disabled")


def test_what_the_user_set_stays(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("TUNE_WARN_THRESHOLD_S", "1")
    prepare(None)
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert os.environ["TUNE_WARN_THRESHOLD_S"] == "1"


def test_how_to_reach_a_dashboard_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    assert tunnel(None, 8266) == "ssh -L 8266:127.0.0.1:8266 desk"
    assert tunnel("auto", 8265) == "ray dashboard cluster.yaml"
    assert tunnel("auto", 9090) == "ray dashboard cluster.yaml --port 9090 --remote-port 9090"


def test_ray_starts_in_a_thread_that_lasts_until_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    told: list[Any] = []
    place = Cluster(1, 0.0, 2, None, None, None)

    def start(address: str | None, **asked: Any) -> Cluster:
        may_end.wait(60)
        told.append((address, asked, threading.current_thread()))
        return place

    def stop() -> None:
        # Ray's processes end with the thread that started them.
        told.append(told[0][2].is_alive())

    monkeypatch.setattr(ray_cluster, "start", start)
    monkeypatch.setattr(ray_cluster, "stop", stop)
    with starting("auto", cpus_per_trial=3, gpus_per_trial=None) as future:
        assert not future.done()
        may_end.set()
        assert future.result() is place
    address, asked, thread = told[0]
    assert (address, asked) == ("auto", {"cpus_per_trial": 3, "gpus_per_trial": None})
    assert thread is not threading.current_thread()
    assert told[1] is True


def test_a_ray_that_does_not_start_says_so_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(address: str | None, **asked: Any) -> Cluster:
        raise ValueError("no cluster could be joined")

    stopped = []
    monkeypatch.setattr(ray_cluster, "start", start)
    monkeypatch.setattr(ray_cluster, "stop", lambda: stopped.append(True))
    with (
        pytest.raises(ValueError, match="could be joined"),
        starting("auto", cpus_per_trial=1, gpus_per_trial=0) as future,
    ):
        future.result()
    assert stopped


@pytest.mark.parametrize(("asked", "gpus"), [(None, 1.0), (0.5, 0.5)])
def test_a_cluster_is_ready_once_a_machine_has_come(
    asked: float | None, gpus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, worker = {"CPU": 0.0}, {"CPU": 2.0, "GPU": 1.0}
    seen = iter([Nodes([head], None, 2), Nodes([head], None, 2), Nodes([head, worker], None, 1)])
    monkeypatch.setattr("search.cluster.nodes.look", lambda: next(seen))
    monkeypatch.setattr("search.cluster.nodes.PAUSE", 0.0)
    told: list[str] = []
    starting: Future[Cluster] = Future()
    starting.set_result(share(Cluster(1, 0.0, 0, None, None, None), next(seen), asked))
    place = ready(starting, asked, told.append)
    assert (place.gpus, place.concurrent, place.waiting, place.coming) == (gpus, 2 * int(1 / gpus), None, 0)
    assert len(told) == 1
    assert "2 machines are being set up" in told[0]


def test_machines_that_come_and_are_too_small_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([Nodes([{"CPU": 0.0}], None, 1), Nodes([{"CPU": 0.0}, {"CPU": 2.0}], None, 0)])
    monkeypatch.setattr("search.cluster.nodes.look", lambda: next(seen))
    monkeypatch.setattr("search.cluster.nodes.PAUSE", 0.0)
    starting: Future[Cluster] = Future()
    starting.set_result(share(Cluster(4, 0.0, 0, None, None, None), next(seen), 0.0))
    with pytest.raises(ValueError, match="there is 2 CPU and 0 GPU"):
        ready(starting, 0.0, lambda told: None)


def test_a_cluster_that_will_grow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Nodes([{"CPU": 0.0}], {"CPU": 32, "GPU": 4})
    place = share(Cluster(4, 0.0, 0, None, None, None), found, None)
    assert (place.gpus, place.concurrent, place.waiting) == (1.0, 4, "a machine with 4 CPU and 1 GPU")
    monkeypatch.setattr("search.cluster.nodes.look", lambda: pytest.fail("looked again"))
    starting: Future[Cluster] = Future()
    starting.set_result(place)
    assert ready(starting, None, pytest.fail) is place


def test_a_stream_yields_what_the_function_yields_and_raises_what_it_raises(workers: Cluster) -> None:
    def count(end: int) -> Iterator[int]:
        number = 0
        while number < end:
            yield number
            number += 1
        raise LookupError("no more")

    numbers = stream(count, end=2, cpus=1, gpus=0)
    assert [next(numbers), next(numbers)] == [0, 1]
    with pytest.raises(LookupError, match="no more"):
        next(numbers)


def test_ray_is_not_imported_before_its_environment_is_prepared() -> None:
    modules = "run", "confirm", "settings.options", "storage.bucket_sync", "display.monitor"
    code = f"import sys, {', '.join(f'search.{name}' for name in modules)}; "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('ray' in sys.modules)"], cwd=project_file.ROOT)
    assert done.returncode == 0
