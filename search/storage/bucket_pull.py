"""Runs whose copy is in a storage that is no file system: where their folder is here, and how it comes from there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from filelock import FileLock

from search.storage.run_paths import SETTINGS, TEMPORARY, TRIALS
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri


def local_folder(uri: str, cache: Path) -> Path:
    """Where the folder is here whose copy `uri` is: below the cache, apart from those of other storages."""
    above, name = bucket_files.split_uri(uri)
    return cache / "runs" / hashlib.sha256(above.encode()).hexdigest()[:12] / name


def pull_run(uri: str, cache: Path) -> Path:
    """The folder whose copy `uri` is, as far as the copy goes or further.

    What is here stays where its log of trials goes as far as that of the copy, and is replaced where the copy's goes on
    from it.

    Args:
        uri: the copy.
        cache: folder of caches.

    Raises:
        DropinError: it is not there, the storage cannot be reached, or each of both has trials that the other lacks.
    """
    folder = local_folder(uri, cache)
    try:
        there = bucket_files.list_sizes(uri)
        if SETTINGS not in there:
            raise DropinError(f"a run is a folder that search.run wrote; {uri} has no {SETTINGS}: correct the URI")
        names = [name for name in there if TEMPORARY.isdisjoint(name.split("/"))]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            theirs = _whole_lines(bucket_files.read_bytes(join_uri(uri, TRIALS))) if TRIALS in there else b""
            ours = _whole_lines((folder / TRIALS).read_bytes()) if (folder / TRIALS).is_file() else b""
            if not (ours.startswith(theirs) or theirs.startswith(ours)):
                raise DropinError(
                    f"a run goes on in one place; {uri} and its folder here, {folder}, have each trials that the other "
                    "lacks: remove the folder to go on with the storage's"
                )
            if (folder / SETTINGS).is_file() and ours.startswith(theirs):
                for name in names:
                    if not (folder / name).exists():
                        bucket_files.download_file(join_uri(uri, name), folder / name, there[name])
            else:
                bucket_files.download(uri, folder, names)
    except OSError as error:
        raise DropinError(f"{uri} cannot be read ({error}): check the URI and the credentials") from error
    return folder


def check_new(uri: str) -> None:
    """Refuse a place for a run where something is, or where nothing can be written.

    Raises:
        DropinError: see above.
    """
    above, _ = bucket_files.split_uri(uri)
    probe = join_uri(above, f".writable-{os.getpid()}")
    try:
        if bucket_files.list_sizes(uri):
            raise DropinError(f"--name must be new; {uri} exists: choose another, or go on with --resume {uri}")
        bucket_files.write_bytes(b"", probe)
        bucket_files.remove_file(probe)
    except OSError as error:
        raise DropinError(
            f"--storage must be a place that can be written; got {above} ({error}): check that the bucket exists, and "
            "the credentials in the environment"
        ) from error


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
