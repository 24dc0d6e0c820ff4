"""Ray: starting it on this machine or joining a cluster, with this project's code, and rejecting what can never run.

Ray is imported inside functions: it reads its environment variables when it is first imported, and `prepare` must come
before that.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.cluster import home, local_ray, nodes, probe, ray_compat
from search.cluster.nodes import Nodes
from search.cluster.origin import PACKAGES, check_origin
from trainables.errors import DropinError

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory

DASHBOARD_PORT = 8265
"""Where Ray's dashboard listens unless told otherwise, or unless another program has the port."""
TASK_RETRIES = 2
"""How often training outside of trials begins again when its worker is lost, as Tune does with trials."""


@dataclass(frozen=True)
class Cluster:
    """The cluster of a run, and what a trial gets of it.

    Attributes:
        cpus: CPU cores a trial.
        gpus: GPUs a trial.
        concurrent: how many trials run at once.
        dashboard: the dashboard's address, or ``None``.
        login: how to log in to the dashboard, or ``None`` where no login is asked for.
        waiting: what no node has yet, so that trials wait for the cluster to grow, or ``None``.
        tunnel: the command that forwards the dashboard to another machine, where one is looking from there.
        session: folder of Ray's session on this machine.
        pending_nodes: how many nodes are being set up, without which `concurrent` and `gpus` are not known yet;
            `wait_for_nodes` waits for them.
    """

    cpus: int
    gpus: float
    concurrent: int
    dashboard: str | None
    login: str | None
    waiting: str | None
    tunnel: str | None = None
    session: Path | None = None
    pending_nodes: int = 0


def prepare(address: str | None) -> None:
    """Set the environment that Ray reads at its import; what the user has set stays.

    Ray on this machine listens on the loopback interface only and asks for a token, since any program or web page that
    reaches the dashboard could run code otherwise. An existing cluster is given a token if there is one.

    Raises:
        DropinError: there is no place for the token.
    """
    local = address is None
    if local and os.environ.get("RAY_AUTH_MODE", "token") == "token":
        local_ray.ensure_token()
    home.provide()  # after the token, which would be in the home folder that is made here
    for name, value in {**ray_compat.ENVIRONMENT, **(ray_compat.LOCAL_ENVIRONMENT if local else {})}.items():
        os.environ.setdefault(name, value)
    has_token = "RAY_AUTH_TOKEN" in os.environ or os.path.isfile(local_ray.token_file())
    os.environ.setdefault("RAY_AUTH_MODE", "token" if local or has_token else "disabled")


def check_fit(address: str | None, cpus_per_trial: int, gpus_per_trial: float | None) -> None:
    """Make sure that this machine can run a trial, where Ray is to be started on it; after `prepare`.

    Args:
        address: as for `init_ray`; of an existing cluster nothing is known yet.
        cpus_per_trial: CPU cores a trial.
        gpus_per_trial: GPUs a trial, or ``None``, as for `init_ray`.

    Raises:
        DropinError: a trial requests more than there is.
    """
    if address is None:
        found = Nodes([ray_compat.local_resources()])
        found.fit(cpus_per_trial, float(found.have_gpus) if gpus_per_trial is None else gpus_per_trial)


@contextmanager
def ray_session(address: str | None, *, cpus_per_trial: int, gpus_per_trial: float | None) -> Iterator[Future[Cluster]]:
    """Run `init_ray`, which takes seconds, in a thread, and on leaving the context `shutdown_ray`.

    Yields:
        The future of the cluster, or of the DropinError that `init_ray` raises.
    """
    # Two threads that begin to import Ray at once can each be given half of it, and fail.
    importlib.import_module("ray")
    # The thread lasts as long as the context: on Linux, what Ray starts ends with the thread that started it.
    with ThreadPoolExecutor(1, "ray") as thread:
        cluster = thread.submit(init_ray, address, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial)
        try:
            yield cluster
        finally:
            wait([cluster])
            shutdown_ray()


def init_ray(
    address: str | None, *, cpus_per_trial: int, gpus_per_trial: float | None, dashboard: bool = True
) -> Cluster:
    """Start Ray on this machine, or join a cluster, and compute what a trial gets.

    Args:
        address: ``None`` for this machine, ``auto`` or ``HOST:PORT`` for an existing cluster, which is sent the code.
        cpus_per_trial: CPU cores a trial.
        gpus_per_trial: GPUs a trial; ``None`` for 1 where there are GPUs and 0 elsewhere.
        dashboard: whether to start one; an existing cluster has its own.

    Raises:
        DropinError: the cluster cannot be joined, or a trial requests more than any node of it has.
    """
    import ray

    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    # Tune repeats the failures of trials as errors of its own; the run's log has them.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if address is None:
        temp_dir = local_ray.temp_dir()
        context = ray_compat.init_local(temp_dir, include_dashboard=dashboard, dashboard_host="127.0.0.1", **common)
    else:
        context = _join(address, common)
    url = context.dashboard_url or None
    login = None
    if os.environ["RAY_AUTH_MODE"] == "token":
        login = f"log in with what `{local_ray.login_command(_ray_command())}` prints"
    bare = Cluster(
        cpus=cpus_per_trial,
        gpus=0.0,
        concurrent=0,
        dashboard=f"http://{url}" if url else None,
        login=login,
        waiting=None,
        tunnel=tunnel(address, int(url.rpartition(":")[2])) if url else None,
        session=ray_compat.session_dir(context),
    )
    try:
        return fit_trials(bare, nodes.cluster_nodes(), gpus_per_trial)
    except ValueError:
        ray.shutdown()
        raise


def _join(address: str, options: Mapping[str, Any]) -> Any:
    """Join a cluster, which is sent the code; what ``ray.init`` returns."""
    import ray

    origin = check_origin()
    code = {"py_modules": [str(origin / name) for name in PACKAGES]}
    try:
        if found := ray_compat.cluster_address(address):
            probe.check(found, address)
        return ray.init(address, runtime_env=code, **options)
    except DropinError:
        raise
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise DropinError(
            f"no cluster could be joined at {address} ({str(error).splitlines()[0]}): check that it runs "
            f"(ray status) and asks for the login that RAY_AUTH_MODE={os.environ['RAY_AUTH_MODE']} offers"
        ) from error


def fit_trials(cluster: Cluster, found: Nodes, gpus_per_trial: float | None) -> Cluster:
    """The cluster with what a trial gets of these nodes, and how many trials they run at once.

    Raises:
        DropinError: no node can ever run a trial.
    """
    gpus = float(found.have_gpus) if gpus_per_trial is None else gpus_per_trial
    concurrent, waiting = found.fit(cluster.cpus, gpus)
    pending_nodes = found.pending if waiting else 0
    return replace(cluster, gpus=gpus, concurrent=concurrent, waiting=waiting, pending_nodes=pending_nodes)


def wait_for_nodes(future: Future[Cluster], gpus_per_trial: float | None, tell: Callable[[str], None]) -> Cluster:
    """The cluster, as soon as it is known how many trials run at once, which takes a node that runs one.

    Args:
        future: what `ray_session` yields.
        gpus_per_trial: as for `init_ray`.
        tell: called with what is waited for.

    Raises:
        DropinError: as `init_ray` does, or none of the nodes that joined can run a trial.
    """
    cluster = future.result()
    if cluster.pending_nodes:
        several = "1 node is" if cluster.pending_nodes == 1 else f"{cluster.pending_nodes} nodes are"
        tell(f"{cluster.waiting}; {several} being set up (`ray status` on the head says how far)")
    while cluster.pending_nodes:
        time.sleep(nodes.POLL_SECONDS)
        cluster = fit_trials(cluster, nodes.cluster_nodes(), gpus_per_trial)
    return cluster


def tunnel(address: str | None, port: int) -> str:
    """The command that forwards a port on the loopback interface here to the machine where the command is given.

    Args:
        address: as for `init_ray`.
        port: where it listens.
    """
    if address is not None:
        other = "" if port == DASHBOARD_PORT else f" --port {port} --remote-port {port}"
        return f"ray dashboard cluster.yaml{other}"
    return f"ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}"


@functools.cache
def resource_request(cpus: int, gpus: float) -> PlacementGroupFactory:
    """What Tune requests of the cluster for a trial: one object for all trials, since each of them keeps it."""
    from ray.tune import PlacementGroupFactory

    return PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}])


def run_remote_generator(
    function: Callable[..., Iterator[Any]], *arguments: Any, cpus: float, gpus: float, **named: Any
) -> Iterator[Any]:
    """Run a generator function as a task on the cluster and yield what it yields as it comes.

    Where its worker is lost, the task begins again on another, up to `TASK_RETRIES` times; what was yielded before is
    not yielded again.

    Raises:
        Exception: what the function raises.
    """
    import ray

    options = {"num_cpus": cpus, "num_gpus": gpus, "num_returns": "streaming", "max_retries": TASK_RETRIES}
    remote = ray.remote(function).options(**options)
    for reference in remote.remote(*arguments, **named):
        try:
            yield ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None


def shutdown_ray() -> None:
    """Leave the cluster; one that `init_ray` started ends."""
    import ray

    ray.shutdown()


def _ray_command() -> str:
    beside = Path(sys.executable).with_name("ray")
    return "ray" if shutil.which("ray") == str(beside) or not beside.exists() else str(beside)
