"""How a run's folder comes from its copy, and which places a new run may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.storage.bucket_pull import check_new, local_folder, pull_run
from storage import beside, lay, tree
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri, list_sizes

MARKER = "settings.json"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Of a run in a storage that is a folder."""
    return join_uri((tmp_path / "shared").as_uri(), "one")


def test_an_empty_cache_gets_all(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "shared" / "one", {MARKER: b"{}", "trials.jsonl": b"0\n", "tune/0/state": b"", "base/card": b"b"})
    folder = pull_run(uri, tmp_path / "cache")
    assert folder == local_folder(uri, tmp_path / "cache")
    assert folder.name == "one"
    assert tree(folder) == {MARKER: b"{}", "trials.jsonl": b"0\n", "base/card": b"b"}


def test_runs_of_one_name_in_two_storages_are_kept_apart(tmp_path: Path) -> None:
    assert local_folder("s3://a/runs/one", tmp_path) != local_folder("s3://b/runs/one", tmp_path)


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [("0\n1\n", "0\n", True), ("0\n", "0\n", True), ("0\n", "0\n1\n", False)],
)
def test_the_log_that_goes_further_counts(ours: str, theirs: str, kept: bool, uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, tmp_path / "cache")
    lay(folder, {MARKER: b"ours", "trials.jsonl": ours.encode() + b"{cut", "run.log": b"ours"})
    lay(tmp_path / "shared" / "one", {MARKER: b"theirs", "trials.jsonl": theirs.encode(), "detectors/0/card": b"x"})
    assert pull_run(uri, tmp_path / "cache") == folder
    assert tree(folder)["detectors/0/card"] == b"x"  # what is only there comes in any case
    assert tree(folder)[MARKER] == (b"ours" if kept else b"theirs")
    assert ("run.log" in tree(folder)) == kept


def test_two_logs_that_went_apart_are_refused(uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, tmp_path / "cache")
    lay(folder, {MARKER: b"{}", "trials.jsonl": b"0\n1\n"})
    lay(tmp_path / "shared" / "one", {MARKER: b"{}", "trials.jsonl": b"0\n2\n"})
    with pytest.raises(ValueError, match="goes on in one place"):
        pull_run(uri, tmp_path / "cache")
    assert tree(folder)["trials.jsonl"] == b"0\n1\n"


def test_what_is_no_run_is_not_pulled(uri: str, tmp_path: Path) -> None:
    lay(tmp_path / "shared" / "one", {"film.mp4": b"large"})
    for place in (uri, join_uri(uri, "none")):
        with pytest.raises(ValueError, match=r"has no settings\.json"):
            pull_run(place, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_new_run_needs_a_place_of_its_own_that_can_be_written(bucket: str) -> None:
    check_new(join_uri(bucket, "runs", "one"))
    assert list_sizes(bucket) == {}
    bucket_files.write_bytes(b"{}", join_uri(bucket, "runs", "one", MARKER))
    with pytest.raises(ValueError, match="--name must be new"):
        check_new(join_uri(bucket, "runs", "one"))
    none = join_uri(beside(bucket), "runs")
    with pytest.raises(ValueError, match=f"--storage must be a place that can be written; got {none}"):
        check_new(join_uri(none, "one"))
