"""What one trial does on a Ray worker."""

from __future__ import annotations

from importlib import import_module

from trainables.errors import DropinError

NAMES = ("dropin", "plasticity")


def load(name: str) -> type:
    """The Ray trainable class of space `name`.

    Raises:
        DropinError: no such space.
    """
    if name not in NAMES:
        raise DropinError(f"space must be one of {', '.join(NAMES)}; got {name!r}")
    trainable: type = getattr(import_module(f"trainables.{name}"), f"{name.capitalize()}Trainable")
    return trainable
