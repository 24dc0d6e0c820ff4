"""Buckets of an S3 server on this machine, and small folders to keep in them."""

from __future__ import annotations

import itertools
import shutil
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from trainables import fetching
from trainables.fetching import joined, sizes

_numbers = itertools.count()


def environment(server: str) -> dict[str, str]:
    """What leads S3 clients to the server and lets them in."""
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "guess-me",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def new_bucket(server: str) -> str:
    """URI of an empty bucket, which no other test has."""
    name = f"bucket-{next(_numbers)}"
    with urllib.request.urlopen(urllib.request.Request(f"{server}/{name}", method="PUT")) as answer:
        assert answer.status == 200
    return f"s3://{name}"


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
    return {name: fetching.read_bytes(joined(uri, name)) for name in sizes(uri)}
