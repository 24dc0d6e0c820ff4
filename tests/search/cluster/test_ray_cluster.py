from __future__ import annotations

import os
import signal
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
    check_fit,
    check_origin,
    fit_trials,
    prepare,
    ray_session,
    run_remote_generator,
    tunnel,
    wait_for_nodes,
)
from trainables.errors import DropinError


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


def test_ray_on_this_machine_asks_for_a_token(bare_environment: Path) -> None:
    prepare(None)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_only_ray_on_this_machine_listens_on_loopback(bare_environment: Path) -> None:
    prepare("auto")
    assert not set(ray_compat.LOCAL_ENVIRONMENT) & set(os.environ)
    prepare(None)
    assert {name: os.environ[name] for name in ray_compat.LOCAL_ENVIRONMENT} == dict(ray_compat.LOCAL_ENVIRONMENT)


@pytest.mark.parametrize("there", [True, False])
def test_an_existing_cluster_is_given_a_token_if_there_is_one(there: bool, bare_environment: Path) -> None:
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


@pytest.mark.parametrize(
    ("cpus", "gpus", "fits"), [(4, None, True), (4, 0.5, True), (1, 2, True), (5, None, False), (1, 3, False)]
)
def test_what_this_machine_cannot_run_is_known_before_ray_starts(
    cpus: int, gpus: float | None, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_compat, "local_resources", lambda: {"CPU": 4.0, "GPU": 2.0})
    check_fit("auto", cpus, gpus)
    if fits:
        check_fit(None, cpus, gpus)
    else:
        with pytest.raises(DropinError, match="there is 4 CPU and 2 GPU: lower --cpus-per-trial or --gpus-per-trial"):
            check_fit(None, cpus, gpus)


def test_how_to_reach_a_dashboard_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    assert tunnel(None, 8266) == "ssh -L 8266:127.0.0.1:8266 desk"
    assert tunnel("auto", 8265) == "ray dashboard cluster.yaml"
    assert tunnel("auto", 9090) == "ray dashboard cluster.yaml --port 9090 --remote-port 9090"


def test_ray_starts_in_a_thread_that_lasts_until_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    told: list[Any] = []
    cluster = Cluster(1, 0.0, 2, None, None, None)

    def init_ray(address: str | None, **asked: Any) -> Cluster:
        may_end.wait(60)
        told.append((address, asked, threading.current_thread()))
        return cluster

    def shutdown_ray() -> None:
        # Ray's processes end with the thread that started them.
        told.append(told[0][2].is_alive())

    monkeypatch.setattr(ray_cluster, "init_ray", init_ray)
    monkeypatch.setattr(ray_cluster, "shutdown_ray", shutdown_ray)
    with ray_session("auto", cpus_per_trial=3, gpus_per_trial=None) as future:
        assert not future.done()
        may_end.set()
        assert future.result() is cluster
    address, asked, thread = told[0]
    assert (address, asked) == ("auto", {"cpus_per_trial": 3, "gpus_per_trial": None})
    assert thread is not threading.current_thread()
    assert told[1] is True


def test_a_ray_that_does_not_start_says_so_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def init_ray(address: str | None, **asked: Any) -> Cluster:
        raise ValueError("no cluster could be joined")

    stopped = []
    monkeypatch.setattr(ray_cluster, "init_ray", init_ray)
    monkeypatch.setattr(ray_cluster, "shutdown_ray", lambda: stopped.append(True))
    with (
        pytest.raises(ValueError, match="could be joined"),
        ray_session("auto", cpus_per_trial=1, gpus_per_trial=0) as future,
    ):
        future.result()
    assert stopped


@pytest.mark.parametrize(("asked", "gpus"), [(None, 1.0), (0.5, 0.5)])
def test_a_cluster_is_known_once_a_node_has_joined(
    asked: float | None, gpus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, worker = {"CPU": 0.0}, {"CPU": 2.0, "GPU": 1.0}
    seen = iter([Nodes([head], None, 2), Nodes([head], None, 2), Nodes([head, worker], None, 1)])
    monkeypatch.setattr("search.cluster.nodes.cluster_nodes", lambda: next(seen))
    monkeypatch.setattr("search.cluster.nodes.POLL_SECONDS", 0.0)
    told: list[str] = []
    future: Future[Cluster] = Future()
    future.set_result(fit_trials(Cluster(1, 0.0, 0, None, None, None), next(seen), asked))
    cluster = wait_for_nodes(future, asked, told.append)
    assert (cluster.gpus, cluster.concurrent, cluster.waiting, cluster.pending_nodes) == (
        gpus,
        2 * int(1 / gpus),
        None,
        0,
    )
    assert len(told) == 1
    assert "2 nodes are being set up" in told[0]


def test_nodes_that_join_and_are_too_small_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([Nodes([{"CPU": 0.0}], None, 1), Nodes([{"CPU": 0.0}, {"CPU": 2.0}], None, 0)])
    monkeypatch.setattr("search.cluster.nodes.cluster_nodes", lambda: next(seen))
    monkeypatch.setattr("search.cluster.nodes.POLL_SECONDS", 0.0)
    future: Future[Cluster] = Future()
    future.set_result(fit_trials(Cluster(4, 0.0, 0, None, None, None), next(seen), 0.0))
    with pytest.raises(ValueError, match="there is 2 CPU and 0 GPU"):
        wait_for_nodes(future, 0.0, lambda told: None)


def test_a_cluster_that_will_grow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Nodes([{"CPU": 0.0}], {"CPU": 32, "GPU": 4})
    cluster = fit_trials(Cluster(4, 0.0, 0, None, None, None), found, None)
    assert (cluster.gpus, cluster.concurrent, cluster.waiting) == (1.0, 4, "a node with 4 CPU and 1 GPU")
    monkeypatch.setattr("search.cluster.nodes.cluster_nodes", lambda: pytest.fail("looked again"))
    future: Future[Cluster] = Future()
    future.set_result(cluster)
    assert wait_for_nodes(future, None, pytest.fail) is cluster


def test_a_remote_generator_yields_what_the_function_yields_and_raises_what_it_raises(workers: Cluster) -> None:
    def count(end: int) -> Iterator[int]:
        number = 0
        while number < end:
            yield number
            number += 1
        raise LookupError("no more")

    numbers = run_remote_generator(count, end=2, cpus=1, gpus=0)
    assert [next(numbers), next(numbers)] == [0, 1]
    with pytest.raises(LookupError, match="no more"):
        next(numbers)


def test_ray_is_not_imported_before_its_environment_is_prepared() -> None:
    modules = "run", "confirm", "settings.options", "storage.bucket_sync", "display.monitor"
    code = f"import sys, {', '.join(f'search.{name}' for name in modules)}; "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('ray' in sys.modules)"], cwd=project_file.ROOT)
    assert done.returncode == 0


def test_ray_is_imported_before_a_second_thread_could_import_it() -> None:
    code = """
import sys
from search.cluster import ray_cluster
ray_cluster.init_ray = lambda address, **asked: "ray" in sys.modules
ray_cluster.shutdown_ray = lambda: None
with ray_cluster.ray_session(None, cpus_per_trial=1, gpus_per_trial=0) as future:
    sys.exit(not future.result())
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=project_file.ROOT).returncode == 0


def test_what_trains_outside_of_trials_begins_again_where_its_worker_is_lost(workers: Cluster, tmp_path: Path) -> None:
    def count(to: int, place: str) -> Iterator[int]:
        """Yields numbers; the first time its process dies after the first one."""
        for number in range(to):
            yield number
            if not Path(place).exists():
                Path(place).touch()
                os.kill(os.getpid(), signal.SIGKILL)

    assert list(run_remote_generator(count, 3, str(tmp_path / "died"), cpus=1, gpus=0)) == [0, 1, 2]
    assert (tmp_path / "died").exists()
