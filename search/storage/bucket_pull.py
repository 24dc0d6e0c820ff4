"""Download of a run from object storage: the path of its local folder, and which of two copies is newer."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from filelock import FileLock

from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri
from trainables.storage.run_paths import SETTINGS, TEMPORARY, TRIALS


def local_folder(uri: str, cache: Path) -> Path:
    """Path of the local folder of the run at `uri`: below the cache, with a digest of the storage's URI in it."""
    parent, name = bucket_files.split_uri(uri)
    return cache / "runs" / hashlib.sha256(parent.encode()).hexdigest()[:12] / name


def pull_run(uri: str, cache: Path) -> Path:
    """Bring the local folder of a run up to date with its copy in the storage.

    If the local trial log contains that of the copy, only missing files are downloaded; if the copy's log continues the
    local one, the folder is replaced.

    Args:
        uri: the run in the storage.
        cache: the cache folder.

    Returns:
        The local folder.

    Raises:
        DropinError: there is no run, the storage cannot be reached, the cache cannot be written, or both logs have
            trials that the other has not.
    """
    folder = local_folder(uri, cache)
    try:
        remote = bucket_files.list_sizes(uri)
        if SETTINGS not in remote:
            raise DropinError(f"a run is a folder that search.run wrote; {uri} has no {SETTINGS}: correct the URI")
        names = [name for name in remote if TEMPORARY.isdisjoint(name.split("/"))]
        _make_folder(folder.parent)
        with FileLock(f"{folder}.lock"):
            remote_log = _complete_lines(bucket_files.read_bytes(join_uri(uri, TRIALS))) if TRIALS in remote else b""
            local_log = _complete_lines((folder / TRIALS).read_bytes()) if (folder / TRIALS).is_file() else b""
            if not (local_log.startswith(remote_log) or remote_log.startswith(local_log)):
                raise DropinError(
                    f"a run has one trial log; {uri} and its local folder {folder} each have trials that the other has "
                    "not: delete the local folder to resume from the URI"
                )
            if (folder / SETTINGS).is_file() and local_log.startswith(remote_log):
                for name in names:
                    if not (folder / name).exists():
                        bucket_files.download_file(join_uri(uri, name), folder / name, remote[name])
            else:
                bucket_files.download(uri, folder, names)
    except OSError as error:
        raise DropinError(f"{uri} cannot be read ({error}): check the URI and the credentials") from error
    return folder


def check_new(uri: str) -> None:
    """Check that the URI of a new run has no files and can be written.

    Raises:
        DropinError: it has files, or cannot be written.
    """
    parent, _ = bucket_files.split_uri(uri)
    probe = join_uri(parent, f".writable-{os.getpid()}")
    try:
        if bucket_files.list_sizes(uri):
            raise DropinError(
                f"--name must be new; {uri} exists: choose another, or resume it by --resume {shlex.quote(uri)}"
            )
        bucket_files.write_bytes(b"", probe)
        bucket_files.delete_file(probe)
    except OSError as error:
        raise DropinError(
            f"--storage must be writable; got {parent} ({error}): check that the bucket exists, and the credentials in "
            "the environment"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DropinError(
            f"a run of a bucket is brought into the cache, which must be a folder that can be written; got {folder} "
            f"({error}): set DROPIN_CACHE to another"
        ) from error


def _complete_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
