"""Buckets of an S3 server on this machine."""

from __future__ import annotations

import itertools
import urllib.request

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
