"""A run's folder and its copy: in a bucket of servers on this machine, or in a folder, which is faster."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from search.storage import bucket_sync
from search.storage.bucket_pull import pull_run
from search.storage.bucket_sync import BucketSync, synced_folder
from storage import lay, there, tree
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri, list_sizes

MARKER = "settings.json"
NAMES = st.text("abcxyz019-_", min_size=1, max_size=6)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/".join([*names[:-1], f"{names[-1]}.txt"])),
    st.binary(max_size=20),
    min_size=1,
    max_size=5,
)
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_sync, "LAST_TRIES", (0.0, 0.0))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Of a run in a storage that is a folder."""
    return join_uri((tmp_path / "shared").as_uri(), "one")


def test_the_copy_follows(bucket: str, tmp_path: Path) -> None:
    uri, folder = join_uri(bucket, "runs", "one"), tmp_path / "one"
    following = BucketSync(folder, uri)
    assert following.settle()
    assert there(uri) == {}
    lay(folder, {MARKER: b"{}", "trials.jsonl": b"1\n", "detectors/0/card": b"0", "detectors/1/card": b"1"})
    assert following.settle()
    assert there(uri) == tree(folder)
    with (folder / "trials.jsonl").open("ab") as log:
        log.write(b"2\n")
    shutil.rmtree(folder / "detectors" / "0")
    (folder / MARKER).write_bytes(b"[]")  # the same size
    os.utime(folder / MARKER, ns=(0, 0))
    assert following.settle()
    assert there(uri) == tree(folder) == {MARKER: b"[]", "trials.jsonl": b"1\n2\n", "detectors/1/card": b"1"}


def test_only_what_changed_is_sent(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    send = bucket_files.upload_file

    def noted(file: Path, to: str) -> None:
        sent.append(file.name)
        send(file, to)

    monkeypatch.setattr(bucket_files, "upload_file", noted)
    a, b = tmp_path / "one" / "a.txt", tmp_path / "one" / "b.txt"
    lay(tmp_path / "one", {"a.txt": b"a", "b.txt": b"b"})
    for path in (a, b):
        os.utime(path, ns=(10**9, 10**9))
    following = BucketSync(tmp_path / "one", uri)
    following.settle()
    b.write_bytes(b"c")
    os.utime(b, ns=(2 * 10**9, 2 * 10**9))
    following.settle()
    following.settle()
    assert sent == ["a.txt", "b.txt", "b.txt"]
    now = time.time_ns() + 10**10
    os.utime(b, ns=(now, now))  # by so late a time a further change could not be told
    following.settle()
    following.settle()
    assert sent == ["a.txt", *["b.txt"] * 4]


def test_what_is_no_part_of_a_finished_run_stays_here(uri: str, tmp_path: Path) -> None:
    lay(
        tmp_path / "one",
        {
            **{
                "tune/0/state": b"",
                "confirm/seed-1/growth_cache/ab/state": b"",
                "detectors/.3.xy/card": b"",
                "a.part": b"",
            },
            **{"x.lock": b"", "confirm/seed-1/trials.jsonl": b"1\n"},
        },
    )
    BucketSync(tmp_path / "one", uri).settle()
    assert there(uri) == {"confirm/seed-1/trials.jsonl": b"1\n"}


def test_a_log_tells_of_nothing_that_is_not_there(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While files are sent, a trial ends: its detector was not seen, so its line is not sent either."""
    folder = tmp_path / "one"
    lay(folder, {"detectors/0/card": b"0", "trials.jsonl": b"0\n"})
    send = bucket_files.upload_file

    def meanwhile(file: Path, to: str) -> None:
        send(file, to)
        lay(folder / "detectors" / "1", {"card": b"1"})
        (folder / "trials.jsonl").write_bytes(b"0\n1\n")

    following = BucketSync(folder, uri)
    monkeypatch.setattr(bucket_files, "upload_file", meanwhile)
    following.settle()
    assert there(uri) == {"detectors/0/card": b"0", "trials.jsonl": b"0\n"}
    monkeypatch.setattr(bucket_files, "upload_file", send)
    following.settle()
    assert there(uri) == tree(folder)


def test_what_workers_wrote_into_the_copy_is_fetched_or_removed(bucket: str, tmp_path: Path) -> None:
    uri, folder = join_uri(bucket, "runs", "one"), tmp_path / "one"
    lay(folder, {MARKER: b"{}"})
    for name in ("0", "1", "2", "9"):
        bucket_files.write_bytes(name.encode(), join_uri(uri, "detectors", name, "card"))
    following = BucketSync(folder, uri)
    following.fetch(folder / "detectors" / "0")
    following.fetch(folder / "detectors" / "1")
    following.discard(folder / "detectors" / "0")
    following.discard(folder / "detectors" / "2")
    following.fetch(folder / "detectors" / "3")  # is not there: passed over
    following.discard(folder / "detectors" / "4")  # nor is this
    assert following.settle()
    assert tree(folder) == {MARKER: b"{}", "detectors/1/card": b"1"}
    assert there(uri) == {**tree(folder), "detectors/9/card": b"9"}
    following.close()  # nobody asked for 9
    assert there(uri) == tree(folder)
    assert following.lacking == ()


def test_a_folder_that_was_taken_away_leaves_the_copy_alone(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "one", {"a.txt": b"a"})
    following = BucketSync(tmp_path / "one", uri)
    following.settle()
    shutil.rmtree(tmp_path / "one")
    following.close()
    assert there(uri) == {"a.txt": b"a"}


@hypothesis.settings(max_examples=25)
@given(TREES, TREES)
def test_whatever_changes_the_copy_becomes_the_same(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    hypothesis.assume(_fit(before) and _fit(after))
    with tempfile.TemporaryDirectory() as place:
        folder, uri = Path(place, "one"), join_uri(Path(place, "shared").as_uri(), "one")
        following = BucketSync(folder, uri)
        for content in (before, after):
            lay(folder, content)
            assert following.settle()
        assert there(uri) == after
        lay(folder, before)
        with synced_folder(folder, uri) as again:
            pass
        assert again is not None
        assert again.lacking == ()
        assert there(uri) == before


@hypothesis.settings(max_examples=5, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@given(TREES)
def test_what_is_pushed_into_a_bucket_is_pulled_from_it(bucket: str, content: dict[str, bytes]) -> None:
    hypothesis.assume(_fit(content))
    uri = join_uri(bucket, str(next(NUMBERS)), "one")
    with tempfile.TemporaryDirectory() as place:
        lay(Path(place, "one"), {**content, MARKER: b"{}"})
        with synced_folder(Path(place, "one"), uri):
            pass
        assert tree(pull_run(uri, Path(place, "cache"))) == {**content, MARKER: b"{}"}


def _fit(content: Mapping[str, bytes]) -> bool:
    """Whether no file's name is also a folder's, as in a bucket it could be."""
    return not any(one.startswith(f"{other}/") for one in content for other in content)


def test_the_thread_follows_and_the_end_completes(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_sync, "PAUSE", 0.01)
    lay(tmp_path / "one", {"a.txt": b"a"})
    with synced_folder(tmp_path / "one", uri) as following:
        assert following is not None
        while "a.txt" not in list_sizes(uri):
            assert following._thread.is_alive()
        (tmp_path / "one" / "b.txt").write_bytes(b"b")
    assert there(uri) == {"a.txt": b"a", "b.txt": b"b"}
    assert not following._thread.is_alive()


def test_without_a_storage_there_is_no_mirror(tmp_path: Path) -> None:
    with synced_folder(tmp_path, None) as following:
        assert following is None


@pytest.mark.parametrize(("kind", "patience"), [("s3", ""), ("gs", "?retry_limit_seconds=1")])
def test_while_the_server_is_away_the_run_goes_on(
    kind: str, patience: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with storage.served(kind) as address:
        for name, value in storage.environment(kind, address).items():
            monkeypatch.setenv(name, value)
        uri = join_uri(storage.new_bucket(kind, address) + patience, "one")
        following = BucketSync(tmp_path / "one", uri)
        lay(tmp_path / "one", {"a.txt": b"a", "b.txt": b"b"})
        assert following.settle()
    lay(tmp_path / "one", {"a.txt": b"other"})
    assert not following.settle()
    with storage.served(kind, int(address.rpartition(":")[2])):
        assert following.settle()
        assert there(uri) == {"a.txt": b"other"}


def test_where_the_storage_goes_away_the_copy_follows_later(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its place is a file for a while, into which nothing can be written."""
    lay(tmp_path / "one", {"a.txt": b"a"})
    (tmp_path / "shared").write_text("")
    following = BucketSync(tmp_path / "one", uri)
    assert not following.settle()
    (tmp_path / "shared").unlink()
    assert following.settle()
    assert there(uri) == {"a.txt": b"a"}
    with synced_folder(tmp_path / "one", uri) as again:
        shutil.rmtree(tmp_path / "shared")
        (tmp_path / "shared").write_text("")
    assert again is not None
    assert again.lacking == ("a.txt",)
    said = capsys.readouterr().err
    assert uri in said
    assert str(tmp_path / "one") in said
