"""Folders in a storage that is no file system, such as a bucket: written there whole, and fetched once a node.

A storage is a URI that `pyarrow.fs` takes: ``s3://bucket/prefix``, ``gs://bucket/prefix``. Who may use it is said by
the environment or by the machine's role and never by the URI, which is written into settings and logs.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from filelock import FileLock

from trainables.errors import DropinError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SECRET = re.compile("key|secret|token|credential|password", re.IGNORECASE)
PATIENCE = 30
"""Seconds for which Google's client tries to reach a storage, unless the URI says; its own are a quarter of an hour."""


def is_uri(text: str) -> bool:
    """Whether a text names a place in a storage and not a path."""
    return "://" in text


def join_uri(uri: str, *names: str) -> str:
    """The URI of something below another; what follows a question mark stays at the end."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(path="/".join([parts.path.rstrip("/"), *names])))


def split_uri(uri: str) -> tuple[str, str]:
    """The inverse of `joined` with one name: the URI above, and the last name."""
    parts = urlsplit(uri)
    above, _, name = parts.path.rstrip("/").rpartition("/")
    return urlunsplit(parts._replace(path=above)), name


@functools.cache
def open_filesystem(uri: str) -> tuple[FileSystem, str]:
    """The file system of a URI, and the path in it.

    Raises:
        DropinError: it holds a secret, which is not repeated, or `pyarrow` does not take it.
    """
    from pyarrow import fs  # only where there is a storage

    parts = urlsplit(uri)
    named = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if parts.password is not None or (parts.scheme == "s3" and parts.username) or any(map(SECRET.search, named)):
        raise DropinError(
            f"a URI must hold no credentials, since it is written into files; got a {parts.scheme}:// one that does: "
            "put them into the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    asked = uri
    if parts.scheme in ("gs", "gcs") and "retry_limit_seconds" not in named:
        queries = [*filter(None, [parts.query]), f"retry_limit_seconds={PATIENCE}"]
        asked = urlunsplit(parts._replace(query="&".join(queries)))
    try:
        filesystem, path = fs.FileSystem.from_uri(asked)
    except (ValueError, OSError, NotImplementedError) as error:
        raise DropinError(
            f"a URI must be such as s3://bucket/prefix or gs://bucket/prefix; got {uri}: {error}"
        ) from error
    if not path.strip("/"):
        raise DropinError(f"a URI must name a bucket; got {uri}: make it s3://bucket/prefix")
    return filesystem, path.rstrip("/")


def list_sizes(uri: str) -> dict[str, int]:
    """Size in bytes of every file below a place in a storage, by its name from there; empty where there is none.

    Raises:
        OSError: the storage cannot be asked.
    """
    from pyarrow import fs

    filesystem, path = open_filesystem(uri)
    try:
        found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except FileNotFoundError:  # made or removed in between
        return {}
    return {info.path[len(path) + 1 :]: info.size for info in found if info.type == fs.FileType.File}


def upload_file(file: Path, uri: str) -> None:
    """Write one file into a storage, in the place of one that is there.

    Raises:
        OSError: the file or the storage cannot be reached.
    """
    from pyarrow import fs

    filesystem, path = open_filesystem(uri)
    _make_parent(filesystem, path)
    # With threads, an upload may wait for the very threads that it holds.
    local = fs.LocalFileSystem()
    fs.copy_files(str(file), path, source_filesystem=local, destination_filesystem=filesystem, use_threads=False)


def write_bytes(content: bytes, uri: str) -> None:
    """Write one file into a storage.

    Raises:
        OSError: the storage cannot be reached.
    """
    filesystem, path = open_filesystem(uri)
    _make_parent(filesystem, path)
    with filesystem.open_output_stream(path) as stream:
        stream.write(content)


def read_bytes(uri: str) -> bytes:
    """What a file in a storage holds.

    Raises:
        OSError: it cannot be read.
    """
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def upload(folder: Path, uri: str) -> None:
    """Write a folder into a storage, in the place of one that is there; all of it is there when this returns.

    Raises:
        OSError: the storage cannot be reached.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        upload_file(file, join_uri(uri, file.relative_to(folder).as_posix()))


def upload_missing(folder: Path, uri: str, files: Collection[str]) -> None:
    """Write these files of a folder into a storage, unless they are there; the URI must end in a digest of them.

    Raises:
        OSError: the storage cannot be reached.
    """
    there = list_sizes(uri)
    for name in files:
        if there.get(name) != (folder / name).stat().st_size:
            upload_file(folder / name, join_uri(uri, name))


def download(uri: str, folder: Path, names: Collection[str] | None = None) -> None:
    """Fetch a folder out of a storage, whole or not at all; one that is there is replaced.

    Args:
        uri: of the folder there.
        folder: what it becomes here.
        names: only these files of it; ``None`` for all.

    Raises:
        FileNotFoundError: it is not there, or one of these files is not.
        OSError: the storage cannot be reached, or a file came cut off.
    """
    there = list_sizes(uri)
    wanted = sorted(there) if names is None else sorted(names)
    if not wanted or not set(wanted) <= set(there):
        lacking = ", ".join(sorted(set(wanted) - set(there))) or "nothing"
        raise FileNotFoundError(f"{uri} is not whole: {lacking} there" if not wanted else f"{uri} lacks {lacking}")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        for name in wanted:
            download_file(join_uri(uri, name), part / name, there[name])
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def download_file(uri: str, file: Path, size: int) -> None:
    """Fetch one file out of a storage.

    Raises:
        OSError: the storage cannot be reached, or not `size` bytes came.
    """
    from pyarrow import fs

    filesystem, path = open_filesystem(uri)
    file.parent.mkdir(parents=True, exist_ok=True)
    fs.copy_files(path, str(file), source_filesystem=filesystem, destination_filesystem=fs.LocalFileSystem())
    came = file.stat().st_size
    if came != size:
        raise OSError(f"{uri} came with {came} bytes instead of {size}")


def local_copy(source: str, cache: Path, files: Sequence[str]) -> Path:
    """A folder on this node that holds these files: what is there already, or what is fetched into the cache now.

    Of processes that ask at once, one fetches and the others wait for it.

    Args:
        source: a path, used as it is, or a URI that ends in a kind and a digest: ``.../features/log_mel-1f3a``. The
            copy is ``cache/features/log_mel-1f3a``, which is where a search that computes it on this node keeps it.
        cache: this node's cache.
        files: what the folder must hold to be whole.

    Raises:
        OSError: the storage cannot be reached, or lacks a file.
    """
    if not is_uri(source):
        return Path(source)
    above, digest = split_uri(source)
    place = cache / split_uri(above)[1] / digest
    if _holds(place, files):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.download.lock"):
        if not _holds(place, files):
            part = place.with_name(f".{place.name}.fetched")
            download(source, part, files)
            if place.exists():  # a search on this node computes them: what it has is the same, what it lacks comes
                for name in files:
                    os.replace(part / name, place / name)
                shutil.rmtree(part)
            else:
                os.replace(part, place)
    return place


def remove(uri: str) -> None:
    """Remove a folder from a storage, if it is there.

    Raises:
        OSError: the storage cannot be reached.
    """
    remove_path(*open_filesystem(uri))


def remove_path(filesystem: FileSystem, path: str) -> None:
    """Remove a folder from a file system, if it is there.

    Raises:
        OSError: the storage cannot be reached.
    """
    from pyarrow import fs

    try:
        filesystem.delete_dir(path)
    except OSError:  # which of them says that nothing is there differs from one file system to the next
        if filesystem.get_file_info(path).type != fs.FileType.NotFound:
            raise


def remove_file(uri: str) -> None:
    """Remove a file from a storage, if it is there.

    Raises:
        OSError: the storage cannot be reached.
    """
    filesystem, path = open_filesystem(uri)
    try:
        filesystem.delete_file(path)
    except FileNotFoundError:
        return


def _holds(folder: Path, files: Sequence[str]) -> bool:
    return all((folder / name).is_file() for name in files)


def _make_parent(filesystem: FileSystem, path: str) -> None:
    """Buckets have no folders; where a URI leads to a file system, that has."""
    if filesystem.type_name == "local":
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
