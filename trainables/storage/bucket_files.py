"""Upload and download of folders in object storage (S3, Google Cloud Storage), with one download for each node.

A prefix is named by a URI that `pyarrow.fs` takes: ``s3://bucket/prefix``, ``gs://bucket/prefix``. Credentials come
from the environment or the machine's role and never from the URI, which is written into settings and logs.
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
from trainables.storage.bucket_names import check_names

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SECRET = re.compile("key|secret|token|credential|password", re.IGNORECASE)
GCS_RETRY_SECONDS = 30
"""Retry limit of the Google Cloud Storage client unless the URI has one; its default is a quarter of an hour."""


def is_uri(text: str) -> bool:
    """Whether a text is a URI and not a path."""
    return "://" in text


def join_uri(uri: str, *names: str) -> str:
    """Append names to the path of a URI; its query stays at the end."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(path="/".join([parts.path.rstrip("/"), *names])))


def split_uri(uri: str) -> tuple[str, str]:
    """The inverse of `join_uri` with one name: the parent's URI, and the last name."""
    parts = urlsplit(uri)
    parent, _, name = parts.path.rstrip("/").rpartition("/")
    return urlunsplit(parts._replace(path=parent)), name


@functools.cache
def open_filesystem(uri: str) -> tuple[FileSystem, str]:
    """The `pyarrow` file system of a URI, and the path in it.

    Raises:
        DropinError: the URI holds credentials, which the message does not repeat, or `pyarrow` does not take it.
    """
    from pyarrow import fs  # imported only where object storage is used

    parts = urlsplit(uri)
    query = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if parts.password is not None or (parts.scheme == "s3" and parts.username) or any(map(SECRET.search, query)):
        raise DropinError(
            f"a URI must hold no credentials, since it is written into files; got a {parts.scheme}:// one that does: "
            "put them into the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    complete = uri
    if parts.scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
        options = [*filter(None, [parts.query]), f"retry_limit_seconds={GCS_RETRY_SECONDS}"]
        complete = urlunsplit(parts._replace(query="&".join(options)))
    try:
        filesystem, path = fs.FileSystem.from_uri(complete)
    except (ValueError, OSError, NotImplementedError) as error:
        raise DropinError(
            f"a URI must be such as s3://bucket/prefix or gs://bucket/prefix; got {uri}: {error}"
        ) from error
    if not path.strip("/"):
        raise DropinError(f"a URI must name a bucket; got {uri}: make it s3://bucket/prefix")
    return filesystem, path.rstrip("/")


def list_sizes(uri: str) -> dict[str, int]:
    """Size in bytes of every file below a prefix, by its name relative to the prefix; empty where there is none.

    Raises:
        OSError: the storage cannot be reached.
    """
    from pyarrow import fs

    filesystem, path = open_filesystem(uri)
    try:
        found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except FileNotFoundError:  # created or deleted in between
        return {}
    return {info.path[len(path) + 1 :]: info.size for info in found if info.type == fs.FileType.File}


def upload_file(file: Path, uri: str) -> None:
    """Upload one file, replacing an existing one.

    Raises:
        OSError: the file or the storage cannot be reached.
    """
    from pyarrow import fs

    filesystem, path = open_filesystem(uri)
    _make_parent(filesystem, path)
    # With threads, an upload may deadlock: it waits for a pool that its own tasks fill.
    local = fs.LocalFileSystem()
    fs.copy_files(str(file), path, source_filesystem=local, destination_filesystem=filesystem, use_threads=False)


def write_bytes(content: bytes, uri: str) -> None:
    """Write one file.

    Raises:
        OSError: the storage cannot be reached.
    """
    filesystem, path = open_filesystem(uri)
    _make_parent(filesystem, path)
    with filesystem.open_output_stream(path) as stream:
        stream.write(content)


def read_bytes(uri: str) -> bytes:
    """Content of one file.

    Raises:
        OSError: the file cannot be read.
    """
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def upload(folder: Path, uri: str) -> None:
    """Upload all files of a folder, replacing existing ones; complete when this returns.

    Raises:
        OSError: the storage cannot be reached.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        upload_file(file, join_uri(uri, file.relative_to(folder).as_posix()))


def upload_missing(folder: Path, uri: str, files: Collection[str]) -> None:
    """Upload these files of a folder unless they exist with the same size; the URI must end in a digest of them.

    Raises:
        OSError: the storage cannot be reached.
    """
    remote = list_sizes(uri)
    for name in files:
        if remote.get(name) != (folder / name).stat().st_size:
            upload_file(folder / name, join_uri(uri, name))


def download(uri: str, folder: Path, names: Collection[str] | None = None) -> None:
    """Download a folder atomically, replacing an existing one.

    Args:
        uri: of the folder in the storage.
        folder: the local folder.
        names: download only these files; ``None`` for all.

    Raises:
        FileNotFoundError: there is no file below the URI, or one of these files is missing.
        OSError: the storage cannot be reached, or a file came truncated.
        DropinError: a file's name leads out of the folder; nothing is written.
    """
    remote = list_sizes(uri)
    wanted = sorted(remote) if names is None else sorted(names)
    if not wanted:
        raise FileNotFoundError(f"{uri} has no files")
    if missing := sorted(set(wanted) - set(remote)):
        raise FileNotFoundError(f"{uri} has no {', '.join(missing)}")
    check_names(uri, wanted)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process
    try:
        for name in wanted:
            download_file(join_uri(uri, name), temporary / name, remote[name])
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def download_file(uri: str, file: Path, size: int) -> None:
    """Download one file of `size` bytes; it is there whole or not at all.

    Raises:
        OSError: the storage cannot be reached, or the file came with another size.
    """
    from pyarrow import fs

    filesystem, path = open_filesystem(uri)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    fs.copy_files(path, str(part), source_filesystem=filesystem, destination_filesystem=fs.LocalFileSystem())
    received = part.stat().st_size
    if received != size:
        part.unlink()
        raise OSError(f"{uri} came with {received} bytes instead of {size}")
    os.replace(part, file)


def local_copy(source: str, cache: Path, files: Sequence[str]) -> Path:
    """A local folder with these files, downloaded into the cache unless this node has them.

    Where several processes need it at once, one downloads and the others wait.

    Args:
        source: a path, returned as it is, or a URI that ends in a kind and a digest: ``.../features/log_mel-1f3a``. The
            copy is ``cache/features/log_mel-1f3a``, the same folder into which a search on this node would compute it.
        cache: this node's cache.
        files: the files of a complete folder.

    Raises:
        OSError: the storage cannot be reached, or a file is missing there.
    """
    if not is_uri(source):
        return Path(source)
    parent, digest = split_uri(source)
    folder = cache / split_uri(parent)[1] / digest
    if _is_complete(folder, files):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.download.lock"):
        if not _is_complete(folder, files):
            temporary = folder.with_name(f".{folder.name}.fetched")
            download(source, temporary, files)
            if folder.exists():  # a search on this node computes the same files: replace or add each
                for name in files:
                    os.replace(temporary / name, folder / name)
                shutil.rmtree(temporary)
            else:
                os.replace(temporary, folder)
    return folder


def delete(uri: str) -> None:
    """Delete a folder, if it exists.

    Raises:
        OSError: the storage cannot be reached.
    """
    delete_path(*open_filesystem(uri))


def delete_path(filesystem: FileSystem, path: str) -> None:
    """Delete a folder of a `pyarrow` file system, if it exists.

    Raises:
        OSError: the storage cannot be reached.
    """
    from pyarrow import fs

    try:
        filesystem.delete_dir(path)
    except OSError:  # file systems differ in the error that they raise for a missing folder
        if filesystem.get_file_info(path).type != fs.FileType.NotFound:
            raise


def delete_file(uri: str) -> None:
    """Delete a file, if it exists.

    Raises:
        OSError: the storage cannot be reached.
    """
    filesystem, path = open_filesystem(uri)
    try:
        filesystem.delete_file(path)
    except FileNotFoundError:
        return


def _is_complete(folder: Path, files: Sequence[str]) -> bool:
    return all((folder / name).is_file() for name in files)


def _make_parent(filesystem: FileSystem, path: str) -> None:
    """Create the parent folder where the URI is of a local file system; buckets have no folders."""
    if filesystem.type_name == "local":
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
