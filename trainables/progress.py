"""How long work tells whoever waits: one function type, and the one that says nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""
