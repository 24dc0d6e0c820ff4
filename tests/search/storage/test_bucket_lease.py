"""One writer of a run's copy in object storage."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from search.storage import bucket_lease
from search.storage.bucket_lease import BucketLease
from search.storage.bucket_sync import BucketSync
from trainables.errors import DropinError
from trainables.storage.bucket_files import join_uri, list_sizes, read_bytes, write_bytes


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"LEASE": 0.3, "REFRESH": 0.0, "POLL": 0.02, "SETTLE": 0.05}.items():
        monkeypatch.setattr(bucket_lease, name, seconds)


@pytest.fixture
def uri(bucket: str) -> str:
    return join_uri(bucket, "runs", "one")


def elsewhere(uri: str, count: int = 1) -> None:
    """What a writer on another machine leaves."""
    about = {"id": "another", "host": "far", "pid": 7, "pids": "another boot", "count": count}
    write_bytes(json.dumps(about).encode(), f"{uri}.writer")


def test_a_lease_is_had_and_given_back(uri: str) -> None:
    lease = BucketLease(uri)
    lease.acquire()
    first = read_bytes(lease.uri)
    lease.refresh()
    assert read_bytes(lease.uri) != first, "others see that this process lives"
    lease.release()
    assert list_sizes(lease.uri.rpartition("/")[0]) == {}


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_a_living_writer_is_not_disturbed(uri: str) -> None:
    elsewhere(uri)
    stop, counted = threading.Event(), iter(range(2, 10**6))

    def live() -> None:
        while not stop.wait(0.02):
            elsewhere(uri, next(counted))

    living = threading.Thread(target=live)
    living.start()
    told: list[str] = []
    try:
        with pytest.raises(DropinError, match="a run has one writer; process 7 on far writes"):
            BucketLease(uri, told.append).acquire()
    finally:
        stop.set()
        living.join()
    assert "waiting to see whether it lives" in told[0]


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_after_a_writer_that_died_elsewhere_a_while_is_waited(uri: str) -> None:
    elsewhere(uri)
    lease = BucketLease(uri)
    lease.acquire()
    assert json.loads(read_bytes(lease.uri))["id"] != "another"


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_after_a_writer_that_died_here_nothing_is_waited_for(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_lease, "LEASE", 1e6)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    about = {"id": "another", "host": "here", "pid": dead.pid, "pids": bucket_lease._pids(), "count": 1}
    write_bytes(json.dumps(about).encode(), f"{uri}.writer")
    told: list[str] = []
    BucketLease(uri, told.append).acquire()
    assert not told
    assert json.loads(read_bytes(f"{uri}.writer"))["id"] != "another"


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_of_two_that_begin_at_once_one_goes_on(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[DropinError] = []
    both_saw_nobody = threading.Barrier(2)
    monkeypatch.setattr(BucketLease, "_wait_for_others", lambda lease: both_saw_nobody.wait(60))

    def begin() -> None:
        try:
            BucketLease(uri).acquire()
        except DropinError as error:
            refused.append(error)

    both = [threading.Thread(target=begin) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(refused) == 1


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_a_lease_that_was_taken_over_writes_nothing_more(uri: str, tmp_path: Path) -> None:
    lease = BucketLease(uri)
    lease.acquire()
    (tmp_path / "run").mkdir()
    sync = BucketSync(tmp_path / "run", uri, lease)
    (tmp_path / "run" / "a").write_text("a")
    assert sync.flush()
    elsewhere(uri)
    (tmp_path / "run" / "b").write_text("b")
    assert not sync.flush()
    assert lease.lost
    assert list_sizes(uri) == {"a": 1}
    lease.release()
    assert json.loads(read_bytes(lease.uri))["id"] == "another"
