"""What is known of a plan before it runs: whether it fits the base, how large its detector ends, whether it can pay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.runs.record import Record
from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan


@dataclass(frozen=True)
class Feasibility:
    """What is known of a plan.

    Attributes:
        refused: why it must not start, or ``None``.
        over: parameters above the limit (0 or less: within it); ``None`` where there is no limit or no size.
    """

    refused: str | None = None
    over: int | None = None


def check_feasibility(
    plan: Mapping[str, Any],
    *,
    arch: Architecture,
    max_parameters: int | None = None,
    ended: Mapping[int, Record] | None = None,
) -> Feasibility:
    """Assess a plan for a base.

    A plan is refused where it breaks a rule, where it ends with more than `max_parameters`, and where a trial has ended
    that makes no error on dev and is no larger: this one could be better in neither.

    Args:
        plan: the plan dict.
        arch: the base's architecture.
        max_parameters: the limit, if any.
        ended: the trials that ended so far, by number.
    """
    try:
        final = Plan.from_config(plan, arch).final
    except ValueError as error:
        return Feasibility(str(error))
    flawless = {r.number: r.size for r in (ended or {}).values() if r.state == "COMPLETE" and r.eer == 0 and r.size}
    if max_parameters is None and not flawless:
        return Feasibility()  # counting takes a while, as the module is built for it
    size = final.size()
    over = None if max_parameters is None else size - max_parameters
    if over is not None and over > 0:
        return Feasibility(f"it ends with {size:,} parameters; --max-parameters allows {max_parameters:,}", over)
    for number, least in flawless.items():
        if least <= size:
            return Feasibility(f"it ends with {size:,} parameters; trial {number} has no error with {least:,}", over)
    return Feasibility(None, over)
