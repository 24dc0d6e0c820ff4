"""What listens at the address of a cluster: Ray, something else, something that never answers, nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from search.cluster import probe, ray_cluster, ray_compat
from search.cluster.ray_cluster import Cluster
from trainables.errors import DropinError

SERVER_SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100])
"""A server's greeting in HTTP/2: that it takes 100 streams."""


@contextmanager
def listening(answer: bytes | None, heard: list[bytes] | None = None) -> Iterator[str]:
    """Address of a server that reads a greeting and answers so, or never where the answer is ``None``.

    Args:
        answer: what it answers.
        heard: the greeting is put here; nothing where the connection is closed without one.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                if answer is None:
                    connection.recv(1)
                    over.wait(60)
                else:
                    greeting = connection.recv(4096)
                    if heard is not None:
                        heard.append(greeting)
                    connection.sendall(answer)

        over = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


def closed() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_what_greets_as_http2_does_may_be_ray() -> None:
    heard: list[bytes] = []
    with listening(SERVER_SETTINGS, heard) as address:
        probe.check(address, address)
    assert heard == [probe.GREETING]


def test_ray_is_taken_for_ray(workers: Cluster) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    assert ray_compat.cluster_address(address) == address
    probe.check(address, address)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "timed out"),
        (b"", "it closes the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers b'HTTP/1.1 '"),
        (b"SSH", "it answers b'SSH'"),
    ],
)
def test_what_does_not_answer_as_ray_is_refused(answer: bytes | None, said: str) -> None:
    with listening(answer) as address, pytest.raises(DropinError) as refused:
        probe.check(address, "auto", patience=0.5)
    assert f"what listens at {address}, which --address auto leads to, does not answer as Ray" in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("place", [None, "127.0.0.1:99999"])
def test_where_nothing_listens_the_address_and_the_next_step_are_said(place: str | None) -> None:
    address = place or closed()
    with pytest.raises(DropinError, match=rf"no Ray listens at {address} \(.*\): start the cluster"):
        probe.check(address, address)


def test_an_encrypted_connection_is_not_greeted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    heard: list[bytes] = []
    with listening(b"", heard) as address:
        probe.check(address, address)
    assert heard == [b""]


def test_joining_a_cluster_that_is_none_is_not_left_to_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_compat, "cluster_address", lambda address: address)
    monkeypatch.setattr("ray.init", lambda *given, **named: pytest.fail("Ray tries for a quarter of an hour"))
    with listening(b"no") as address, pytest.raises(DropinError, match=f"what listens at {address} does not answer"):
        ray_cluster.init_ray(address, cpus_per_trial=1, gpus_per_trial=0)
    with pytest.raises(DropinError, match="no Ray listens"):
        ray_cluster.init_ray(closed(), cpus_per_trial=1, gpus_per_trial=0)
