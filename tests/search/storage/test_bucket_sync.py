"""A run folder and its copy: in a bucket of a server on this machine, or in a folder, which is faster."""

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
from search.storage import bucket_lease, bucket_sync
from search.storage.bucket_pull import pull_run
from search.storage.bucket_sync import BucketSync, synced_folder
from storage import bucket_tree, lay, tree
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
def _no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else begins to write at the same moment."""
    monkeypatch.setattr(bucket_lease, "SETTLE", 0.0)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_sync, "FINAL_RETRY_DELAYS", (0.0, 0.0))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """URI of a run in a storage that is a local folder."""
    return join_uri((tmp_path / "shared").as_uri(), "one")


def test_a_flush_brings_the_copy_up_to_date(bucket: str, tmp_path: Path) -> None:
    uri, folder = join_uri(bucket, "runs", "one"), tmp_path / "one"
    sync = BucketSync(folder, uri)
    assert sync.flush()
    assert bucket_tree(uri) == {}
    lay(folder, {MARKER: b"{}", "trials.jsonl": b"1\n", "detectors/0/card": b"0", "detectors/1/card": b"1"})
    assert sync.flush()
    assert bucket_tree(uri) == tree(folder)
    with (folder / "trials.jsonl").open("ab") as log:
        log.write(b"2\n")
    shutil.rmtree(folder / "detectors" / "0")
    (folder / MARKER).write_bytes(b"[]")  # the same size
    os.utime(folder / MARKER, ns=(0, 0))
    assert sync.flush()
    assert bucket_tree(uri) == tree(folder) == {MARKER: b"[]", "trials.jsonl": b"1\n2\n", "detectors/1/card": b"1"}


def test_only_changed_files_are_uploaded(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded = []
    upload_file = bucket_files.upload_file

    def recording(file: Path, to: str) -> None:
        uploaded.append(file.name)
        upload_file(file, to)

    monkeypatch.setattr(bucket_files, "upload_file", recording)
    a, b = tmp_path / "one" / "a.txt", tmp_path / "one" / "b.txt"
    lay(tmp_path / "one", {"a.txt": b"a", "b.txt": b"b"})
    for path in (a, b):
        os.utime(path, ns=(10**9, 10**9))
    sync = BucketSync(tmp_path / "one", uri)
    sync.flush()
    b.write_bytes(b"c")
    os.utime(b, ns=(2 * 10**9, 2 * 10**9))
    sync.flush()
    sync.flush()
    assert uploaded == ["a.txt", "b.txt", "b.txt"]
    now = time.time_ns() + 10**10
    os.utime(b, ns=(now, now))  # a further change would leave so late a time as it is
    sync.flush()
    sync.flush()
    assert uploaded == ["a.txt", *["b.txt"] * 4]


def test_excluded_and_unfinished_files_are_not_uploaded(uri: str, tmp_path: Path) -> None:
    lay(
        tmp_path / "one",
        {
            **{
                "tune/0/state": b"",
                "confirm/seed-1/growth_cache/ab/state": b"",
                "detectors/.3.xy/card": b"",
                "a.part": b"",
            },
            **{"x.lock": b"", "confirm/seed-1/trials.jsonl": b"1\n", "base.part/card": b"", "base.part/more/card": b""},
        },
    )
    BucketSync(tmp_path / "one", uri).flush()
    assert bucket_tree(uri) == {"confirm/seed-1/trials.jsonl": b"1\n"}


def test_an_uploaded_log_names_no_detector_that_is_not_uploaded(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial ends during the upload: its detector was not listed, so its line is not uploaded either."""
    folder = tmp_path / "one"
    lay(folder, {"detectors/0/card": b"0", "trials.jsonl": b"0\n"})
    upload_file = bucket_files.upload_file

    def meanwhile(file: Path, to: str) -> None:
        upload_file(file, to)
        lay(folder / "detectors" / "1", {"card": b"1"})
        (folder / "trials.jsonl").write_bytes(b"0\n1\n")

    sync = BucketSync(folder, uri)
    monkeypatch.setattr(bucket_files, "upload_file", meanwhile)
    sync.flush()
    assert bucket_tree(uri) == {"detectors/0/card": b"0", "trials.jsonl": b"0\n"}
    monkeypatch.setattr(bucket_files, "upload_file", upload_file)
    sync.flush()
    assert bucket_tree(uri) == tree(folder)


def test_what_workers_wrote_into_the_copy_is_downloaded_or_deleted(bucket: str, tmp_path: Path) -> None:
    uri, folder = join_uri(bucket, "runs", "one"), tmp_path / "one"
    lay(folder, {MARKER: b"{}"})
    for name in ("0", "1", "2", "9"):
        bucket_files.write_bytes(name.encode(), join_uri(uri, "detectors", name, "card"))
    sync = BucketSync(folder, uri)
    sync.fetch(folder / "detectors" / "0")
    sync.fetch(folder / "detectors" / "1")
    sync.delete(folder / "detectors" / "0")
    sync.delete(folder / "detectors" / "2")
    sync.fetch(folder / "detectors" / "3")  # does not exist: logged
    sync.delete(folder / "detectors" / "4")  # does not exist either
    assert sync.flush()
    assert tree(folder) == {MARKER: b"{}", "detectors/1/card": b"1"}
    assert bucket_tree(uri) == {**tree(folder), "detectors/9/card": b"9"}
    sync.close()  # 9 was not fetched
    assert bucket_tree(uri) == tree(folder)
    assert sync.missing_files == ()


def test_a_deleted_folder_leaves_the_copy_as_it_is(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "one", {"a.txt": b"a"})
    sync = BucketSync(tmp_path / "one", uri)
    sync.flush()
    shutil.rmtree(tmp_path / "one")
    sync.close()
    assert bucket_tree(uri) == {"a.txt": b"a"}


@hypothesis.settings(max_examples=25)
@given(TREES, TREES)
def test_after_any_change_the_copy_is_equal(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    hypothesis.assume(_fit(before) and _fit(after))
    with tempfile.TemporaryDirectory() as place:
        folder, uri = Path(place, "one"), join_uri(Path(place, "shared").as_uri(), "one")
        sync = BucketSync(folder, uri)
        for content in (before, after):
            lay(folder, content)
            assert sync.flush()
        assert bucket_tree(uri) == after
        lay(folder, before)
        with synced_folder(folder, uri) as again:
            pass
        assert again is not None
        assert again.missing_files == ()
        assert bucket_tree(uri) == before


@hypothesis.settings(max_examples=5, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@given(TREES)
def test_upload_and_download_round_trip(bucket: str, content: dict[str, bytes]) -> None:
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


def test_the_thread_uploads_and_the_end_completes(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_sync, "SYNC_PERIOD", 0.01)
    lay(tmp_path / "one", {"a.txt": b"a"})
    with synced_folder(tmp_path / "one", uri) as sync:
        assert sync is not None
        while "a.txt" not in list_sizes(uri):
            assert sync._thread.is_alive()
        (tmp_path / "one" / "b.txt").write_bytes(b"b")
    assert bucket_tree(uri) == {"a.txt": b"a", "b.txt": b"b"}
    assert not sync._thread.is_alive()


def test_without_a_storage_there_is_no_sync(tmp_path: Path) -> None:
    with synced_folder(tmp_path, None) as sync:
        assert sync is None


@pytest.mark.parametrize(("kind", "patience"), [("s3", ""), ("gs", "?retry_limit_seconds=1")])
def test_an_unreachable_server_is_retried(
    kind: str, patience: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with storage.served(kind) as address:
        for name, value in storage.environment(kind, address).items():
            monkeypatch.setenv(name, value)
        uri = join_uri(storage.new_bucket(kind, address) + patience, "one")
        sync = BucketSync(tmp_path / "one", uri)
        lay(tmp_path / "one", {"a.txt": b"a", "b.txt": b"b"})
        assert sync.flush()
    lay(tmp_path / "one", {"a.txt": b"other"})
    assert not sync.flush()
    with storage.served(kind, int(address.rpartition(":")[2])):
        assert sync.flush()
        assert bucket_tree(uri) == {"a.txt": b"other"}


def test_after_an_outage_the_copy_is_completed(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The storage's folder is a file for a while, into which nothing can be written."""
    lay(tmp_path / "one", {"a.txt": b"a"})
    (tmp_path / "shared").write_text("")
    sync = BucketSync(tmp_path / "one", uri)
    assert not sync.flush()
    (tmp_path / "shared").unlink()
    assert sync.flush()
    assert bucket_tree(uri) == {"a.txt": b"a"}
    with synced_folder(tmp_path / "one", uri) as again:
        shutil.rmtree(tmp_path / "shared")
        (tmp_path / "shared").write_text("")
    assert again is not None
    assert again.missing_files == ("a.txt",)
    said = capsys.readouterr().err
    assert uri in said
    assert str(tmp_path / "one") in said
