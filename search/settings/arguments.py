"""Types of command-line options: each takes the text, and refuses it with the rule and the value."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def whole(least: int) -> Callable[[str], int]:
    """A whole number of at least `least`."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}; got {text!r}")
        return value

    return convert


def number(*, above: float | None = None, at_least: float | None = None) -> Callable[[str], float]:
    """A finite number above a bound, or of at least one."""
    rule = f"above {above:g}" if above is not None else f"of at least {at_least:g}"

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        fits = value > above if above is not None else value >= (at_least or 0.0)
        if not fits or value == float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number {rule}; got {text!r}")
        return value

    return convert


def key_value(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``; the value is JSON where it reads as that, else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE, such as width=16; got {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def run_name(text: str) -> str:
    """A name that is safe as a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"must be letters, digits, dots, dashes and underscores; got {text!r}")
    return text


def address(text: str) -> str:
    """``auto`` or ``HOST:PORT``."""
    if text != "auto" and not re.fullmatch(r"[^\s/]+:\d+", text):
        raise argparse.ArgumentTypeError(f"must be auto or HOST:PORT; got {text!r}")
    return text


def path_or_uri(text: str) -> Path | str:
    """A path, or the URI of a place in a storage as it is, such as ``s3://bucket/prefix``."""
    from trainables.storage import bucket_files  # whose origin is checked before

    return name_or_uri(text).rstrip("/") if bucket_files.is_uri(text) else Path(text)


def name_or_uri(text: str) -> str:
    """A name or a path, which are not looked at, or the URI of a place in a storage."""
    from trainables.storage import bucket_files  # likewise

    if bucket_files.is_uri(text):
        try:
            bucket_files.open_filesystem(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text
