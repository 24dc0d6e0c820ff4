"""Whether the fields of a dataclass that was read from JSON hold what their annotations say."""

from __future__ import annotations

import functools
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

from trainables.errors import DropinError


def check_fields(made: object) -> None:
    """Check every field of a dataclass' instance.

    Whole numbers do for ``float``, truth values are no numbers, and numbers are finite.

    Raises:
        DropinError: a field holds something else; which, and what it must be.
    """
    made_of: type = type(made)
    for name, kind in _kinds(made_of).items():
        value = getattr(made, name)
        if not _fits(value, kind):
            must = kind.__name__ if isinstance(kind, type) else kind
            raise DropinError(f"{name} must be {must}; got {value!r:.80}")


# Whole logs are read line by line.
@functools.cache
def _kinds(made: type) -> dict[str, Any]:
    return typing.get_type_hints(made)


def _fits(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        return type(value) in numbers and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:  # of any length
        return isinstance(value, tuple) and all(_fits(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    return isinstance(value, kind)
