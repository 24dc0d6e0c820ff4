"""What one trial does on a worker. Each procedure has a file with its Ray trainable; `NAMES` lists them.

A procedure is how plans of a kind are carried out; the file of a space says which one its plans are for.
"""

from __future__ import annotations

from trainables.registry import Registry

NAMES = ("dropin", "plasticity")
_PROCEDURES = Registry(__name__, "procedure")


def load(name: str) -> type:
    """The Ray trainable class that carries out plans of procedure `name`.

    Raises:
        DropinError: no such procedure.
    """
    trainable: type = getattr(_PROCEDURES.load(name), f"{name.capitalize()}Trainable")
    return trainable
