"""Validation of a plan's config independent of the base: its keys, its values and the order of its epochs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import trainables
from trainables import criteria, growth
from trainables.errors import DropinError
from trainables.models.bounds import MOST_NEURONS

MOST_EPOCHS = 10_000
"""Every cut is a stage of at least one epoch, so this bounds the time that parsing a plan takes."""
_DEFAULTS: Mapping[str, Any] = {"restarts": [], "grow_lr": None, "procedure": None}
"""``procedure``: the space's name, as in plans of versions in which a space was a procedure."""
_REQUIRED = (
    *("space", "epochs", "grow", "rule", "grow_epoch", "grow_steps", "train", "prune_epoch", "prune_steps", "final"),
    *("criterion", "after", "moments", "optimizer", "lr", "recover_lr", "schedule"),
    *("weight_decay", "clip", "batch_size"),
)
_CHOICES: Mapping[str, Sequence[str]] = {
    "train": ("new", "new+head", "all"),
    "after": ("finetune", "rewind_weights", "rewind_lr"),
    "moments": ("carry", "reset"),
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "cosine"),
}


def validate(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a plan's config and fill in its defaults.

    Raises:
        DropinError: the rule that it breaks, the value, and what to do.
    """
    complete = _fill_defaults(config)
    _check_values(complete)
    _check_schedule(complete)
    return complete


def _fill_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(config, Mapping):
        raise DropinError(f"a plan must be an object with the keys {', '.join(_REQUIRED)}; got {config!r:.80}")
    missing = [key for key in _REQUIRED if key not in config]
    unknown = sorted(set(config) - set(_REQUIRED) - set(_DEFAULTS))
    if missing or unknown:
        raise DropinError(f"a plan has exactly the keys {', '.join(_REQUIRED)}; missing {missing}, unknown {unknown}")
    complete = {**_DEFAULTS, **config}
    if complete["grow_lr"] is None:
        complete["grow_lr"] = complete["lr"]
    if complete["procedure"] is None:
        complete["procedure"] = complete["space"]
    return complete


def _check_values(c: Mapping[str, Any]) -> None:
    plugins = {"procedure": trainables.NAMES, "rule": growth.NAMES, "criterion": criteria.NAMES}
    for key, choices in {**_CHOICES, **plugins}.items():
        if c[key] not in choices:
            raise DropinError(f"plan: {key} must be one of {', '.join(choices)}; got {c[key]!r}")
    if not isinstance(c["space"], str) or not c["space"]:
        raise DropinError(f"plan: space must be the name of a space; got {c['space']!r:.80}")
    for key in ("epochs", "grow_steps", "prune_steps"):
        _check_int(key, c[key], 1, MOST_EPOCHS)
    _check_int("batch_size", c["batch_size"], 1)
    for key in ("grow_epoch", "prune_epoch"):
        _check_int(key, c[key], 0)
    for key, least in (("grow", 1), ("final", 0)):
        if not isinstance(c[key], Mapping):
            raise DropinError(f"plan: {key} must map sites to numbers of neurons, {{}} for none; got {c[key]!r}")
        for name, count in c[key].items():
            _check_int(f"{key}[{name}]", count, least)
    if not isinstance(c["restarts"], Sequence) or isinstance(c["restarts"], str):
        raise DropinError(f"plan: restarts must list epochs, [] for none; got {c['restarts']!r}")
    for key in ("lr", "grow_lr", "recover_lr"):
        if not _is_number(c[key]) or not 0 < c[key] < 10:
            raise DropinError(f"plan: {key} must be a number between 0 and 10; got {c[key]!r}")
    for key in ("weight_decay", "clip"):
        if not _is_number(c[key]) or not 0 <= c[key] < math.inf:
            raise DropinError(f"plan: {key} must be a number of at least 0; got {c[key]!r}")


def _check_schedule(c: Mapping[str, Any]) -> None:
    epochs, first, last = c["epochs"], c["grow_epoch"], c["prune_epoch"]
    if not first < epochs:
        raise DropinError(f"plan: grow_epoch must lie before the end, at epoch {epochs}; got {first}")
    if not first < last <= epochs:
        raise DropinError(f"plan: prune_epoch must lie after grow_epoch ({first}), at most at {epochs}; got {last}")
    if last < epochs and last + c["prune_steps"] > epochs:
        raise DropinError(
            f"plan: {c['prune_steps']} cuts from epoch {last} on do not fit into {epochs} epochs; cut earlier"
        )
    if c["final"] and last == epochs:
        raise DropinError(
            "plan: final widths need a cut before the end: set prune_epoch below epochs, or leave final empty"
        )
    for epoch in c["restarts"]:
        _check_int("restarts", epoch, 0)
        if epoch >= epochs:
            raise DropinError(f"plan: the optimiser can restart before epoch {epochs}; got {epoch}")
    if c["procedure"] == "plasticity" and (c["grow_steps"] != 1 or c["train"] != "all"):
        raise DropinError(
            "plan: plasticity grows once (grow_steps 1) and trains all; use procedure dropin for anything else"
        )
    if c["procedure"] == "dropin" and (first != 0 or last != epochs):
        raise DropinError(
            "plan: dropin grows at epoch 0 and never prunes (prune_epoch == epochs); use procedure plasticity"
        )


def _check_int(key: str, value: object, least: int, most: int = MOST_NEURONS) -> None:
    if type(value) is not int or value < least:
        raise DropinError(f"plan: {key} must be a whole number of at least {least}; got {value!r:.80}")
    if value > most:
        raise DropinError(f"plan: {key} must be a whole number of at most {most}; got {value!r:.80}")


def _is_number(value: object) -> bool:
    # Compared, not converted: an int may be too large for a float.
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
