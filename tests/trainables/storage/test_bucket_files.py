"""Object storage: URIs, upload, download and the copies of a node; in a local folder and in buckets."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import FileSystem

import storage
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.bucket_files import (
    download,
    join_uri,
    list_sizes,
    local_copy,
    open_filesystem,
    split_uri,
    upload,
    upload_missing,
)

NAMES = st.text("abcdefgh0123-_.", min_size=1, max_size=8).filter(lambda name: name.strip("."))
FILES = ("settings.json", "train.arrow")


def write(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def traced_copy(source: str, cache: Path, trace: Path) -> Path:
    """A process of the node calls `local_copy`; every download appends a line to `trace`, and takes half a second."""

    def traced(*arguments: Any, **named: Any) -> None:
        with trace.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.5)
        download(*arguments, **named)

    bucket_files.download = traced
    return local_copy(source, cache, FILES)


@pytest.fixture(params=["file", *storage.KINDS])
def shared(request: pytest.FixtureRequest, bucket_of: Callable[[str], str], tmp_path: Path) -> str:
    """URI of a storage: a folder's, or a bucket's of each kind."""
    return (tmp_path / "shared").as_uri() if request.param == "file" else bucket_of(request.param)


def test_names_below_a_uri() -> None:
    assert join_uri("s3://bucket/runs/", "one", "base") == "s3://bucket/runs/one/base"
    assert join_uri("s3://bucket", "one") == "s3://bucket/one"
    assert join_uri("s3://bucket/runs?region=eu-west-1", "one") == "s3://bucket/runs/one?region=eu-west-1"
    assert split_uri("gs://bucket/runs/one") == ("gs://bucket/runs", "one")


def test_file_system_and_path_of_a_uri(tmp_path: Path) -> None:
    filesystem, path = open_filesystem("s3://bucket/runs/?region=eu-west-1")
    assert (filesystem.type_name, path) == ("s3", "bucket/runs")
    filesystem, path = open_filesystem("gs://anonymous@bucket/runs")
    assert (filesystem.type_name, path) == ("gcs", "bucket/runs")
    assert open_filesystem(tmp_path.as_uri())[1] == str(tmp_path)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("", f"?retry_limit_seconds={bucket_files.GCS_RETRY_SECONDS}"),
        ("?scheme=https", f"?scheme=https&retry_limit_seconds={bucket_files.GCS_RETRY_SECONDS}"),
        ("?retry_limit_seconds=7", "?retry_limit_seconds=7"),
    ],
)
def test_google_retries_are_limited_unless_the_uri_has_a_limit(query: str, meant: str) -> None:
    filesystem, path = open_filesystem(f"gs://anonymous@bucket/runs{query}")
    assert (filesystem, path) == FileSystem.from_uri(f"gs://anonymous@bucket/runs{meant}")
    assert filesystem != FileSystem.from_uri("gs://anonymous@bucket/runs")[0]


@given(st.lists(NAMES, max_size=3), NAMES, st.sampled_from(["", "?region=eu", "?scheme=http&endpoint_override=a:1"]))
def test_join_and_split_round_trip(parents: list[str], name: str, query: str) -> None:
    uri = join_uri(f"s3://bucket{query}", *parents)
    assert split_uri(join_uri(uri, name)) == (uri, name)


def test_upload_and_download_round_trip(shared: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "one", a_txt="first", b_txt="")
    write(folder / "deeper", c_txt="third")
    upload(folder, join_uri(shared, "one"))
    assert list_sizes(join_uri(shared, "one")) == {"a.txt": 5, "b.txt": 0, "deeper/c.txt": 5}
    download(join_uri(shared, "one"), tmp_path / "back")
    assert content(tmp_path / "back") == content(folder)
    download(join_uri(shared, "one"), tmp_path / "back", ["a.txt"])
    assert content(tmp_path / "back") == {"a.txt": "first"}


def test_existing_files_are_not_uploaded_again(shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "one", settings_json="{}", train_arrow="train", eval_arrow="eval")
    upload_missing(folder, join_uri(shared, "one"), FILES)
    assert list_sizes(join_uri(shared, "one")) == {"settings.json": 2, "train.arrow": 5}
    monkeypatch.setattr(bucket_files, "upload_file", lambda *_: pytest.fail("the file exists"))
    upload_missing(folder, join_uri(shared, "one"), FILES)


def test_an_incomplete_folder_is_not_downloaded(shared: str, tmp_path: Path) -> None:
    upload(write(tmp_path / "one", settings_json="{}"), join_uri(shared, "one"))
    before = write(tmp_path / "back", old_txt="stays")
    for uri in (join_uri(shared, "one"), join_uri(shared, "none")):
        with pytest.raises(FileNotFoundError):
            download(uri, before, FILES)
    with pytest.raises(FileNotFoundError):
        download(join_uri(shared, "none"), before)
    assert content(before) == {"old.txt": "stays"}
    assert {path.name for path in tmp_path.iterdir()} - {"shared"} == {"back", "one"}


@pytest.mark.parametrize("name", storage.OUTSIDE)
def test_a_name_that_leads_out_of_the_folder_is_refused_before_anything_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "shared", a_txt="first")
    before = write(tmp_path / "back", old_txt="stays")
    monkeypatch.setattr(bucket_files, "list_sizes", lambda uri: {"a.txt": 5, name: 5})
    monkeypatch.setattr(bucket_files, "open_filesystem", storage.listing_anything(tmp_path / "shared" / "a.txt"))
    with pytest.raises(DropinError, match="names that stay in their folder"):
        download("s3://bucket/one", before)
    assert content(tmp_path) == {"shared/a.txt": "first", "back/old.txt": "stays"}


def test_a_file_that_comes_with_another_size_is_not_left_there(tmp_path: Path) -> None:
    write(tmp_path / "shared", a_txt="first")
    with pytest.raises(OSError, match="came with 5 bytes instead of 9"):
        bucket_files.download_file((tmp_path / "shared" / "a.txt").as_uri(), tmp_path / "back" / "a.txt", 9)
    assert list((tmp_path / "back").iterdir()) == []


def test_a_path_is_used_as_it_is(tmp_path: Path) -> None:
    assert local_copy(str(tmp_path / "one"), tmp_path / "cache", FILES) == tmp_path / "one"
    assert not (tmp_path / "cache").exists()


def test_a_node_downloads_once(shared: str, tmp_path: Path) -> None:
    source = join_uri(shared, "features", "mel-12")
    upload(write(tmp_path / "one", settings_json="{}", train_arrow="train", eval_arrow="eval"), source)
    folder = local_copy(source, tmp_path / "cache", FILES)
    assert folder == tmp_path / "cache" / "features" / "mel-12"
    assert content(folder) == {"settings.json": "{}", "train.arrow": "train"}
    bucket_files.delete(source)
    assert list_sizes(source) == {}
    bucket_files.delete(source)  # does not exist any more
    assert local_copy(source, tmp_path / "cache", FILES) == folder


def test_a_folder_that_a_search_on_the_node_is_writing_is_completed(shared: str, tmp_path: Path) -> None:
    source = join_uri(shared, "features", "mel-12")
    upload(write(tmp_path / "one", settings_json="{}", train_arrow="train"), source)
    begun = write(tmp_path / "cache" / "features" / "mel-12", settings_json="{}", dev_arrow="dev")
    assert local_copy(source, tmp_path / "cache", FILES) == begun
    assert content(begun) == {"settings.json": "{}", "dev.arrow": "dev", "train.arrow": "train"}


def test_one_of_concurrent_processes_downloads(shared: str, tmp_path: Path) -> None:
    source = join_uri(shared, "features", "mel-12")
    upload(write(tmp_path / "one", settings_json="{}", train_arrow="train"), source)
    cache, trace = tmp_path / "cache", tmp_path / "trace"
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        folders = list(pool.map(traced_copy, [source] * 2, [cache] * 2, [trace] * 2))
    assert folders == [cache / "features" / "mel-12"] * 2
    assert len(trace.read_text().splitlines()) == 1
    assert [path.name for path in (cache / "features").iterdir() if path.is_dir()] == ["mel-12"]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA123:hush@bucket/runs",
        "s3://AKIA123@bucket/runs",
        "s3://bucket/runs?access_key=AKIA123&secret_key=hush",
        "abfs://container:hush@account.dfs.core.windows.net/runs",
        "abfs://container@account.dfs.core.windows.net/runs?sas_token=hush",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(ValueError, match="no credentials") as raised:
        open_filesystem(uri)
    assert "hush" not in str(raised.value)
    assert "AKIA123" not in str(raised.value)


@pytest.mark.parametrize("uri", ["ftp://host/runs", "s3://", "s3:///runs", "bucket://", "s3://bucket/runs?colour=red"])
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="a URI must"):
        open_filesystem(uri)
