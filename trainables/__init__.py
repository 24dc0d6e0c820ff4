"""What one trial does on a worker."""

from __future__ import annotations

from importlib import import_module

NAMES = ("dropin", "plasticity")


def load(name: str) -> type:
    """The Ray trainable class of space `name`.

    Raises:
        ValueError: no such space.
    """
    if name not in NAMES:
        raise ValueError(f"space must be one of {', '.join(NAMES)}; got {name!r}")
    trainable: type = getattr(import_module(f"trainables.{name}"), f"{name.capitalize()}Trainable")
    return trainable
