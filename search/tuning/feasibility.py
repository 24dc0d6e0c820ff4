"""What is known of a plan before it runs: whether it fits the base, its size, whether it can be on the front."""

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
        reason: why it is rejected, or ``None``.
        violation: of the limit as a constraint, in parameters (0 or less: within it); ``None`` where there is no limit
            or no size.
    """

    reason: str | None = None
    violation: int | None = None


def check_feasibility(
    plan: Mapping[str, Any],
    *,
    arch: Architecture,
    max_parameters: int | None = None,
    ended: Mapping[int, Record] | None = None,
) -> Feasibility:
    """Check a plan for a base.

    A plan is rejected where it breaks a rule, where its detector has more than `max_parameters`, and where a trial has
    ended that makes no error on dev and is no larger: this one could be better in neither.

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
    complete = [record for record in (ended or {}).values() if record.state == "COMPLETE"]
    without_error = {record.number: record.size for record in complete if record.eer == 0 and record.size}
    if max_parameters is None and not without_error:
        return Feasibility()  # counting takes a while, as the module is built for it
    size = final.size()
    violation = None if max_parameters is None else size - max_parameters
    if violation is not None and violation > 0:
        return Feasibility(f"it ends with {size:,} parameters; --max-parameters allows {max_parameters:,}", violation)
    for number, smaller in without_error.items():
        if smaller <= size:
            reason = f"it ends with {size:,} parameters; trial {number} has no error with {smaller:,}"
            return Feasibility(reason, violation)
    return Feasibility(None, violation)
