"""Front ends by name, and the Arrow files that cache their features.

A front end is a module with ``SETTINGS`` (JSON types; part of the digest of the features), ``DTYPE`` (of stored
features), ``shape(samples) -> tuple`` and ``transform(audio) -> array`` for one segment of that many samples.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from trainables.errors import DropinError

NAMES = ("log_mel", "lfcc", "waveform")


def load(name: str) -> ModuleType:
    """The module of front end `name`.

    Raises:
        DropinError: no such front end.
    """
    if name not in NAMES:
        raise DropinError(f"front end must be one of {', '.join(NAMES)}; got {name!r}")
    return import_module(f"trainables.features.{name}")
