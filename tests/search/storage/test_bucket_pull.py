"""Download of a run from its copy in object storage, and the check of a new run's URI."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.storage.bucket_pull import check_new, local_folder, pull_run
from storage import OUTSIDE, lay, listing_anything, missing_bucket, tree
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri, list_sizes

MARKER = "settings.json"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """URI of a run in a storage that is a local folder."""
    return join_uri((tmp_path / "shared").as_uri(), "one")


def test_a_run_without_a_local_folder_is_downloaded_whole(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "shared" / "one", {MARKER: b"{}", "trials.jsonl": b"0\n", "tune/0/state": b"", "base/card": b"b"})
    folder = pull_run(uri, tmp_path / "cache")
    assert folder == local_folder(uri, tmp_path / "cache")
    assert folder.name == "one"
    assert tree(folder) == {MARKER: b"{}", "trials.jsonl": b"0\n", "base/card": b"b"}


def test_runs_of_one_name_in_two_storages_have_two_local_folders(tmp_path: Path) -> None:
    assert local_folder("s3://a/runs/one", tmp_path) != local_folder("s3://b/runs/one", tmp_path)


@pytest.mark.parametrize(
    ("local_log", "remote_log", "kept"),
    [("0\n1\n", "0\n", True), ("0\n", "0\n", True), ("0\n", "0\n1\n", False)],
)
def test_the_longer_log_wins(local_log: str, remote_log: str, kept: bool, uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, tmp_path / "cache")
    lay(folder, {MARKER: b"local", "trials.jsonl": local_log.encode() + b"{cut", "run.log": b"local"})
    remote = {MARKER: b"remote", "trials.jsonl": remote_log.encode(), "detectors/0/card": b"x"}
    lay(tmp_path / "shared" / "one", remote)
    assert pull_run(uri, tmp_path / "cache") == folder
    assert tree(folder)["detectors/0/card"] == b"x"  # missing files are downloaded in either case
    assert tree(folder)[MARKER] == (b"local" if kept else b"remote")
    assert ("run.log" in tree(folder)) == kept


def test_diverged_logs_are_refused(uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, tmp_path / "cache")
    lay(folder, {MARKER: b"{}", "trials.jsonl": b"0\n1\n"})
    lay(tmp_path / "shared" / "one", {MARKER: b"{}", "trials.jsonl": b"0\n2\n"})
    with pytest.raises(ValueError, match="one trial log"):
        pull_run(uri, tmp_path / "cache")
    assert tree(folder)["trials.jsonl"] == b"0\n1\n"


def test_a_folder_that_is_no_run_is_not_downloaded(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "shared" / "one", {"film.mp4": b"large"})
    for other in (uri, join_uri(uri, "none")):
        with pytest.raises(ValueError, match=r"has no settings\.json"):
            pull_run(other, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_what_an_earlier_copy_was_still_writing_is_left_there(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "shared" / "one", {MARKER: b"{}", "base.part/card": b"b", "a.part": b""})
    assert tree(pull_run(uri, tmp_path / "cache")) == {MARKER: b"{}"}


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_the_folder_is_refused_before_anything_is_written(
    name: str, local: bool, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path / "shared" / "one", {MARKER: b"{}", "more": b"m"})
    if local:
        lay(local_folder(uri, tmp_path / "cache"), {MARKER: b"{}"})
    before = tree(tmp_path)
    monkeypatch.setattr(bucket_files, "list_sizes", lambda uri: {MARKER: 2, "more": 1, name: 2})
    monkeypatch.setattr(bucket_files, "open_filesystem", listing_anything(tmp_path / "shared" / "one" / MARKER))
    with pytest.raises(DropinError, match=r"names that stay in their folder; .* delete it there"):
        pull_run(uri, tmp_path / "cache")
    assert tree(tmp_path) == before


def test_the_uri_of_a_new_run_has_no_files_and_is_writable(bucket: str) -> None:
    check_new(join_uri(bucket, "runs", "one"))
    assert list_sizes(bucket) == {}
    bucket_files.write_bytes(b"{}", join_uri(bucket, "runs", "one", MARKER))
    with pytest.raises(ValueError, match="--name must be new"):
        check_new(join_uri(bucket, "runs", "one"))
    none = join_uri(missing_bucket(bucket), "runs")
    with pytest.raises(ValueError, match=f"--storage must be writable; got {none}"):
        check_new(join_uri(none, "one"))
