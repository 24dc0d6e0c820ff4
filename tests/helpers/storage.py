"""Buckets of servers on this machine, of Amazon's kind (``s3``) and of Google's (``gs``), and small folders in them."""

from __future__ import annotations

import itertools
import json
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri, list_sizes

KINDS = ("s3", "gs")
_numbers = itertools.count()


@contextmanager
def served(kind: str, port: int = 0) -> Iterator[str]:
    """Within it a server of this kind listens on loopback, on a free port unless one is given; its address.

    One that comes after another of its kind has the buckets of that one.
    """
    if kind == "gs":
        import google_storage  # beside this file; none of the two unless it is asked for

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
    """What leads clients to the server and lets them in."""
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
    """URI of an empty bucket, which no other test has."""
    name = f"bucket-{next(_numbers)}"
    if kind == "gs":
        named = json.dumps({"name": name}).encode()
        json_type = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{server}/storage/v1/b?project=tests", named, json_type)
    else:
        asked = urllib.request.Request(f"{server}/{name}", method="PUT")
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200
    return f"gs://anonymous@{name}" if kind == "gs" else f"s3://{name}"


def beside(bucket: str) -> str:
    """URI of a bucket of the same kind that is not there."""
    parts = urlsplit(bucket)
    return parts._replace(netloc=parts.netloc.replace("bucket", "none")).geturl()


def lay(folder: Path, tree: Mapping[str, bytes]) -> None:
    """Make a folder hold these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    """What a folder holds."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def there(uri: str) -> dict[str, bytes]:
    """What a place in a storage holds."""
    return {name: bucket_files.read_bytes(join_uri(uri, name)) for name in list_sizes(uri)}
