"""Buckets of S3 (``s3``) and Google Cloud Storage (``gs``) servers on this machine, and small folders in them."""

from __future__ import annotations

import itertools
import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow.fs import FileSystem, LocalFileSystem

from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri, list_sizes

KINDS = ("s3", "gs")
OUTSIDE = (
    *("x/../../y", "../y", "/y", "x//y", "x/./y", "..", "", "x\\..\\y", "a\0b", "a\nb"),
    *("y?endpoint_override=elsewhere", "y#z", "%2e%2e/y"),
)
"""Keys as a storage may list them, and no file of ours has them."""
_numbers = itertools.count()


@contextmanager
def served(kind: str, port: int = 0) -> Iterator[str]:
    """Run a server of this kind on loopback within the context, on a free port unless one is given; yields its address.

    A server that is started again has the buckets of the one before.
    """
    if kind == "gs":
        import google_storage  # both servers are imported only when needed

        with google_storage.served(port) as address:
            yield address
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def environment(kind: str, server: str) -> dict[str, str]:
    """Environment variables with the server's address and credentials."""
    if kind == "gs":
        return {"CLOUD_STORAGE_EMULATOR_ENDPOINT": server}
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "guess-me",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def new_bucket(kind: str, server: str) -> str:
    """URI of a new, empty bucket."""
    name = f"bucket-{next(_numbers)}"
    if kind == "gs":
        body = json.dumps({"name": name}).encode()
        json_type = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{server}/storage/v1/b?project=tests", body, json_type)
    else:
        request = urllib.request.Request(f"{server}/{name}", method="PUT")
    with urllib.request.urlopen(request) as response:
        assert response.status == 200
    return f"gs://anonymous@{name}" if kind == "gs" else f"s3://{name}"


def missing_bucket(bucket: str) -> str:
    """URI of a bucket of the same kind that does not exist."""
    parts = urlsplit(bucket)
    return parts._replace(netloc=parts.netloc.replace("bucket", "none")).geturl()


def listing_anything(content: Path) -> Callable[[str], tuple[FileSystem, str]]:
    """Instead of `bucket_files.open_filesystem`: a storage that has every key, which it does not normalise."""
    return lambda uri: (LocalFileSystem(), str(content))


def lay(folder: Path, tree: Mapping[str, bytes]) -> None:
    """Write these files into a folder, and delete all others."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file of a folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bucket_tree(uri: str) -> dict[str, bytes]:
    """Content of every file below a URI, by name."""
    return {name: bucket_files.read_bytes(join_uri(uri, name)) for name in list_sizes(uri)}
