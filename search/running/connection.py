"""The connection of a run or a confirmation to Ray, from its environment to its end."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext

from search.cluster import ray_cluster
from search.cluster.ray_cluster import Cluster
from search.display.progress import Display
from search.running.watchdog import Watchdog
from search.settings.options import Settings


@contextmanager
def connection(settings: Settings, watchdog: Watchdog | None) -> Iterator[Future[Cluster]]:
    """Start Ray, or join the cluster of the settings, and on leaving the context end it or leave it.

    Args:
        settings: of the run.
        watchdog: ends this process where Ray is lost.

    Yields:
        The future of the cluster; `wait_for_cluster` waits for it.

    Raises:
        DropinError: there can be no place for Ray's token, or this machine can never run a trial.
    """
    # Before Ray is imported, which reads its environment then.
    ray_cluster.prepare(settings.address)
    ray_cluster.check_fit(settings.address, settings.cpus_per_trial, settings.gpus_per_trial)
    ray = ray_cluster.ray_session(
        settings.address, cpus_per_trial=settings.cpus_per_trial, gpus_per_trial=settings.gpus_per_trial
    )
    # The watchdog last: it looks after the end of Ray as well.
    with nullcontext() if watchdog is None else watchdog.ray(settings.address), ray as starting:
        yield starting


def wait_for_cluster(starting: Future[Cluster], settings: Settings, display: Display) -> Cluster:
    """The cluster, as soon as trials can run on it; it is shown.

    Raises:
        DropinError: see `search.cluster.ray_cluster.wait_for_nodes`.
    """
    tell = functools.partial(display.status, "waiting for")
    found = ray_cluster.wait_for_nodes(starting, settings.gpus_per_trial, tell)
    display.cluster(found)
    return found
