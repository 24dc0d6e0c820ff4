"""The name of a trial: space, number and the plan in a few characters, as in ``plasticity-12-split-0.14x``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan

MAX_LENGTH = 40
"""Characters of a name, at most: what a column of a dashboard shows."""


def trial_name(number: int, recipe: str | None, plan: Mapping[str, Any], *, arch: Architecture) -> str:
    """The name of a trial, of at most `MAX_LENGTH` letters, digits, dots and hyphens.

    Args:
        number: the trial's number in its run.
        recipe: the name of its recipe or point, which then says what it does; ``None`` for one that a sampler chose.
        plan: a plan that fits the base.
        arch: the base's architecture; the name says how large the trial ends as a multiple of it.

    Raises:
        ValueError: what rule the plan breaks, where it has no recipe's name.
    """
    what = recipe or f"{_change(plan)}-{multiple(Plan.from_config(plan, arch).final.size() / arch.size())}"
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", f"{plan['space']}-{number}-{what}")
    return plain[:MAX_LENGTH].strip("-.")


def multiple(share: float) -> str:
    """A size as a multiple of another, in two digits: ``0.14x``, ``1x``, ``120x``."""
    return f"{share:.2g}x" if share < 99.5 else f"{share:.0f}x"


def _change(plan: Mapping[str, Any]) -> str:
    """The growth rule, or what a plan without growth does."""
    if plan["grow"]:
        return str(plan["rule"])
    return "cut" if plan["final"] else "retrain"
