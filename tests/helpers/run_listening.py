"""Start Ray as a run does, in a process of its own, and print as JSON where its processes listen and write."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import psutil

from search.cluster import ray_cluster

SETTLED = 3
"""So often in a row the processes have to listen on the same ports before they are taken to be all there."""


def listening() -> dict[str, list[str]]:
    """Addresses by the program that listens there, of this process and all that it started."""
    own = psutil.Process()
    found: dict[str, list[str]] = {}
    for process in [own, *own.children(recursive=True)]:
        try:
            sockets = [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
            found.setdefault(process.name(), []).extend(f"{one.laddr.ip} {one.laddr.port}" for one in sockets)
        except psutil.NoSuchProcess:
            continue
    return {name: sorted(addresses) for name, addresses in found.items() if addresses}


def work() -> Iterator[int]:
    yield 1


def main() -> None:
    ray_cluster.prepare(None)
    place = ray_cluster.init_ray(None, cpus_per_trial=1, gpus_per_trial=0)
    assert list(ray_cluster.run_remote_generator(work, cpus=1, gpus=0)) == [1]  # so that there is a worker
    seen = [listening()]
    while len(seen) < SETTLED or any(one != seen[-1] for one in seen[-SETTLED:]):
        time.sleep(0.5)
        seen.append(listening())
    import ray

    found = {"dashboard": place.dashboard, "listening": seen[-1], "folder": ray.get_runtime_context().get_temp_dir()}
    print(json.dumps(found))
    ray_cluster.shutdown_ray()


if __name__ == "__main__":
    main()
