"""Detectors whose layers can change their width. One file per model; the file name is the option's name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from trainables.errors import DropinError

NAMES = ("resnet18", "grnn", "wav2vec2")


def load(name: str) -> ModuleType:
    """The module of model `name`.

    Raises:
        DropinError: no such model.
    """
    if name not in NAMES:
        raise DropinError(f"model must be one of {', '.join(NAMES)}; got {name!r}")
    return import_module(f"trainables.models.{name}")
