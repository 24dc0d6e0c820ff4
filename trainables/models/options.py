"""Completing a model's options with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainables.errors import DropinError


def complete(model: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`defaults` overridden by `options`.

    Raises:
        DropinError: an option that has no default, naming the known ones.
    """
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise DropinError(f"{model} has no option {', '.join(unknown)}; it takes {', '.join(sorted(defaults))}")
    return {**defaults, **options}
