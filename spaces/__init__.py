"""Search spaces: what may vary in a trial, as define-by-run functions. One file per space; `NAMES` lists them.

They need the standard library only: the search hands in a trial, the sites of a base and a budget. A file defines

- ``WORDS``: what its trials do, in words.
- ``PROCEDURE``: which procedure of ``trainables`` carries its plans out, ``dropin`` or ``plasticity``.
- ``space(trial, sites, budget) -> plan``: a complete plan from the parameters that it suggests, see ``spaces.shared``.
- ``prunings(parameters)``: points of the space that cut the same grown stage as one of these parameters otherwise.
- ``recipes(model, sites, budget)``: fixed plans by name, ``control`` always among them, see ``spaces.recipes``.
- ``initial_points(sites)``: by name, answers for a trial of which ``spaces.recipes`` makes points of the space.
"""

from __future__ import annotations

import importlib
from types import ModuleType

NAMES = ("dropin", "plasticity")


def names() -> tuple[str, ...]:
    """The spaces, as ``--space`` takes them."""
    return NAMES


def load(name: str) -> ModuleType:
    """The module of a space.

    Raises:
        ValueError: no such space.
    """
    if name not in NAMES:
        raise ValueError(f"unknown space {name!r}; choose one of {', '.join(NAMES)}")
    return importlib.import_module(f"spaces.{name}")
