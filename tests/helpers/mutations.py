"""What a hostile or damaged file may hold: any JSON, documents with a few changes, bytes with a few changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import strategies as st

Result = TypeVar("Result")
NUMBERS = st.sampled_from([-1, 0, 1, 2**31, 2**63, 10**12, 10**400, 0.5, 3.0, 1e308, float("inf"), float("nan")])
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["../../etc/passwd", "/dev/zero", "\x1b[2J", "a\0b", "tiny", "grnn", "nan"]
)
LEAVES = st.none() | st.booleans() | NUMBERS | st.integers(-3, 70) | TEXTS
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
DEEP = b"[" * 100_000
"""JSON that no parser follows to its end."""


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A copy of a JSON document with one to three places replaced, removed or added to."""
    made = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(places(made))))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove" and holder is not made:
            del holder[key]
        elif change == "add" and isinstance(holder, dict):
            holder[draw(TEXTS)] = draw(JSON)
        elif change == "add" and holder is not made:
            holder.insert(key, draw(JSON))
        else:
            holder[key] = draw(JSON)
    return made[0]


def places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Every place below a list or dict, as the list or dict and the index or key."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], (dict, list)):
            yield from places(holder[key])


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with one to four of them changed, some cut out or put in, or something else altogether."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(made)))
        length = draw(st.sampled_from([0, 1, 1, 1, 8, 10**6]))
        made[begin : begin + length] = draw(st.binary(max_size=9))
    return bytes(made)


def outcome(call: Callable[..., Result], *given: Any) -> Result | ValueError:
    """What a call returns, or the ValueError that it raises; anything else goes through."""
    try:
        return call(*given)
    except ValueError as error:
        return error
