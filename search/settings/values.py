"""What the value of an option may be: each kind checks a value, reads one from text, and says its rule."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.errors import DropinError
from trainables.storage import bucket_files


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        rule: what it must be, as in "must be ...; got ..."; a function where that is known only when asked.
        fits: whether a value is of this kind.
        read: makes a value of a text of the command line; raises `ValueError` where it cannot.
        normal: what is kept of a value that fits; raises `DropinError` where only this shows that it does not.
        names: the values, where they are a few names.
    """

    rule: str | Callable[[], str]
    fits: Callable[[Any], bool]
    read: Callable[[str], Any] = str
    normal: Callable[[Any], Any] = lambda value: value
    names: Callable[[], Iterable[str]] | None = None

    def __str__(self) -> str:
        """The rule."""
        return self.rule if isinstance(self.rule, str) else self.rule()

    def checked(self, value: Any) -> Any:
        """The value as it is kept.

        Raises:
            DropinError: the rule and the value.
        """
        if not self.fits(value):
            raise DropinError(f"must be {self}; got {value!r:.80}")
        return self.normal(value)

    def parsed(self, text: str) -> Any:
        """The value of a text; the `type` of an argparse argument.

        Raises:
            argparse.ArgumentTypeError: the rule and the text.
        """
        try:
            value = self.read(text)
        except ValueError:
            value = None
        try:
            if value is None or not self.fits(value):
                raise DropinError(f"must be {self}; got {text!r}")
            return self.normal(value)
        except DropinError as error:
            raise argparse.ArgumentTypeError(str(error)) from error


def whole(least: int, most: int | None = None) -> Kind:
    """A whole number of at least `least`, and of at most `most` if that is given."""
    rule = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    return Kind(rule, lambda value: type(value) is int and least <= value and (most is None or value <= most), int)


def number(*, above: float | None = None, at_least: float = 0.0) -> Kind:
    """A finite number above a bound, or of at least one."""
    rule = f"a number above {above:g}" if above is not None else f"a number of at least {at_least:g}"

    def fits(value: object) -> bool:
        # Compared, since a whole number may be too large to become a float.
        if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:  # type: ignore[arg-type]
            return False
        return value > above if above is not None else value >= at_least  # type: ignore[operator]

    return Kind(rule, fits, float)


PROBABILITY = Kind(
    "a number between 0 and 1, both excluded",
    lambda value: type(value) in (int, float) and 0 < value < 1,
    float,
    normal=float,
)


def one_of(names: Callable[[], Iterable[str]]) -> Kind:
    """One of the names that `names` gives when it is asked."""
    return Kind(
        lambda: f"one of {', '.join(names())}",
        lambda value: isinstance(value, str) and value in tuple(names()),
        names=names,
    )


def text(rule: str, pattern: str) -> Kind:
    """A text that a regular expression matches as a whole."""
    return Kind(rule, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def _are_shares(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return False
    return all(type(one) in (int, float) and one >= 0 for one in value) and abs(sum(value) - 1) < 1e-6


SHARES = Kind(
    "three numbers of at least 0 with the sum 1, for train, dev and eval",
    _are_shares,
    lambda given: tuple(map(float, given.split(","))),
    normal=lambda value: tuple(map(float, value)),
)
FLAG = Kind("True or False", lambda value: isinstance(value, bool))
NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
RUN_NAME = text("letters, digits, dots, dashes and underscores", NAME)
PART = text("names of folders with / between them, or nothing", f"({NAME}(/{NAME})*)?")
ADDRESS = text("auto or HOST:PORT", r"auto|[^\s/]+:\d+")


def _is_path(value: object) -> bool:
    return isinstance(value, Path) or (isinstance(value, str) and value != "")


def _absolute(value: str | Path) -> Path:
    try:
        return Path(value).expanduser().resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL, no home, a link to itself
        raise DropinError(f"must be a path; got {str(value)!r:.80} ({error})") from error


def _absolute_or_uri(value: str | Path) -> str | Path:
    """A path made absolute, or the URI of an object store prefix, which must hold no credentials."""
    if isinstance(value, str) and bucket_files.is_uri(value):
        bucket_files.open_filesystem(value)
        return value.rstrip("/")
    return _absolute(value)


def _name_or_uri(value: str) -> str:
    """A name or a path as it is, or the URI of an object store prefix, which must hold no credentials."""
    if bucket_files.is_uri(value):
        bucket_files.open_filesystem(value)
    return value


PATH = Kind("a path", _is_path, normal=_absolute)
PATH_OR_URI = Kind("a path or a URI such as s3://bucket/prefix", _is_path, normal=_absolute_or_uri)
NAME_OR_URI = Kind("a name, a path or a URI", _is_path, normal=_name_or_uri)
PATHS_OR_URIS = Kind(
    "a sequence of paths and URIs",
    lambda value: isinstance(value, (list, tuple)) and all(map(_is_path, value)),
    normal=lambda value: tuple(map(_absolute_or_uri, value)),
)


def _key_value(word: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise ValueError(word)
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


KEY_VALUE = Kind("KEY=VALUE, such as width=16", lambda value: isinstance(value, tuple), _key_value)
"""One entry of `MAPPING` on the command line; the value is JSON where it reads as that, else text."""
MAPPING = Kind(
    "a mapping from names to values",
    lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
    normal=dict,
)
