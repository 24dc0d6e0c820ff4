"""What may vary: search spaces as define-by-run functions. Standard library only; the search hands a trial in."""

from __future__ import annotations

import importlib
from types import ModuleType

NAMES = ("dropin", "plasticity")


def names() -> tuple[str, ...]:
    """The spaces there are, as ``--space`` takes them; each is a file of this folder."""
    return NAMES


def load(name: str) -> ModuleType:
    """The module of a space.

    ``module.space(trial, sites, budget)`` gives a plan dict, ``module.prunings(parameters)`` the points of the space
    that cut the same grown stage otherwise.

    Raises:
        ValueError: no such space.
    """
    if name not in NAMES:
        raise ValueError(f"unknown space {name!r}; choose one of {', '.join(NAMES)}")
    return importlib.import_module(f"spaces.{name}")
