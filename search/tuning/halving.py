"""Successive halving with one objective or several: which trials a rung promotes. No Ray.

A rung is a moment of a trial at which it can be compared with others. Whoever is among the best half of the trials that
have reached it so far is promoted (asynchronous successive halving, ASHA: L. Li et al., "A System for Massively
Parallel Hyperparameter Tuning", MLSys 2020; here a trial that is not promoted is stopped at once, not paused). With two
objectives trials are ordered by non-dominated sorting (`search.runs.pareto.ranks`), as in NSGA-II, and within a rank by
`better_neighbours`. With one they are ordered by its values.

The smallest detector is never dominated, however bad it is, and a front of many members leaves nobody to stop. So ranks
alone will not do, and neither will distances to the front on axes that one outlier can stretch. `better_neighbours`
looks at neighbours along the size axis instead: a member whose slightly larger neighbours make far fewer errors is
stopped first.

Only the order of values is used, on every axis, and of equal points one counts. So no monotone rescaling of an
objective changes anything, nor does a plan that was tried twice, nor the order in which trials reached the rung.

Fairness. A trial's structure changes up to some epoch, its last change; what is measured before says less about its
final EER.

- Before a cut no trial is compared. In real searches the ranks of small detectors by their EERs before the cut and in
  the end hardly correlated (0.0 to 0.2), by those after a first epoch of recovery they did (0.5 to 0.7). To stop trials
  before it would be to stop them almost at random.
- Before a growth that is the last change, a trial is compared by its EER and the size that its plan will end with, and
  only with others that will still grow, after equally many epochs.
- After the last change, what counts is how much of the recovery is over, since plans cut at different epochs. A rung is
  a share of the epochs from the last change to the end, and at the same share all have the same part of their learning
  curve ahead.

Cost. Stopping a trial saves the epochs that are left, at the risk of losing a good detector for which most has been
paid. Successive halving assumes that each rung costs about as much as all before it (`worth_stopping`); after a late
cut the epochs that are left cost next to nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from search.runs import pareto
from trainables.errors import DropinError

REDUCTION_FACTOR = 2
"""Of so many trials in a rung one is promoted."""
MIN_TRIALS = 4
"""No trial is stopped before so many different ones have reached a rung."""
GRACE_PERIOD = 4
"""The first rung comes after so many epochs, or after a quarter of a short trial."""
SLICES = 4
"""A neighbourhood along the size axis is one of so many slices of a rung's trials."""
MAX_HALVINGS = 64
"""More than any number of epochs can be halved."""


class Rung(NamedTuple):
    """What trials have to share to be compared.

    Attributes:
        recovery: whether the last change of the structure is over.
        halvings: the rung lies where ``2 ** -halvings`` of the epochs are over.
    """

    recovery: bool
    halvings: int


def rungs(begin: int, end: int, epochs: int, *, recovery: bool) -> dict[int, Rung]:
    """The epochs in ``(begin, end)`` after which a phase of a trial has a rung.

    Args:
        begin, end: the phase: from the trial's start to its last change, or from there to its end.
        epochs: of the whole trial; before the last change rungs are shares of these.
        recovery: whether this is the phase after the last change.
    """
    length, found = end - begin if recovery else epochs, {}
    for halvings in range(1, max(1, length).bit_length()):
        passed = math.ceil(length / REDUCTION_FACTOR**halvings)
        if passed < min(GRACE_PERIOD, math.ceil(length / 4)):
            break
        if begin + passed < end:
            found[begin + passed] = Rung(recovery, halvings)
    return found


def rung_of(epoch: int, last_change: int, epochs: int, last_cut: int = 0) -> Rung | None:
    """The rung of a trial after so many of its epochs, if there is one; none before its last cut."""
    if epoch <= last_cut:
        return None
    if epoch > last_change:
        return rungs(last_change, epochs, epochs, recovery=True).get(epoch)
    return rungs(0, last_change, epochs, recovery=False).get(epoch)


def worth_stopping(work_done: float) -> bool:
    """Whether stopping a trial saves at least as much as it has cost, by the share of its work that is done."""
    return work_done <= 1 / REDUCTION_FACTOR


def better_neighbours(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many of its next larger neighbours make fewer errors, for each of different points.

    Args:
        points: ``[n, 2]``, error and size, no two equal.

    Returns:
        ``[n]``, from 0 to the length of a slice, ``ceil(n / SLICES)``.
    """
    length = math.ceil(len(points) / SLICES)
    order = np.lexsort((points[:, 0], points[:, 1]))
    errors = points[order, 0]
    counts = np.zeros(len(points), dtype=np.int64)
    for position, index in enumerate(order):
        counts[index] = int((errors[position + 1 : position + 1 + length] < errors[position]).sum())
    return counts


def rank_in_rung(point: Sequence[float], others: Iterable[Sequence[float]]) -> tuple[int, int]:
    """How many different points are ordered before one, and how many there are.

    Args:
        point: its objectives, all to be minimized: one, or error and size.
        others: those of the rung's other trials.

    Raises:
        DropinError: a coordinate that is not finite, or another number of objectives than one or two.
    """
    own = tuple(map(float, point))
    if len(own) not in (1, 2):
        raise DropinError(f"a rung compares trials by one objective, or by error and size; got {len(own)}")
    if not all(map(math.isfinite, own)):
        raise DropinError(f"the objectives of a trial must be finite; got {own}")
    different = {own, *(tuple(map(float, other)) for other in others)}
    if len(own) == 1:
        return sum(other < own for other in different), len(different)
    points = np.array(sorted(different))
    keys = [pareto.ranks(points), better_neighbours(points), points[:, 0]]
    order = np.lexsort(keys[::-1])
    rank = next(number for number, index in enumerate(order) if tuple(points[index]) == own)
    return rank, len(points)


@dataclass
class Halving:
    """Which trials reached which rung, and which of them are promoted.

    Attributes:
        reached: by rung and trial number, the trial's objectives there.
    """

    reached: dict[Rung, dict[int, tuple[float, ...]]] = field(default_factory=dict)

    def promote(self, number: int, rung: Rung, values: Sequence[float]) -> bool:
        """Record a trial that reached a rung, and say whether it is promoted.

        A trial that reaches a rung again, since its worker was lost, replaces its earlier values.
        """
        trials = self.reached.setdefault(rung, {})
        trials[number] = tuple(map(float, values))
        rank, count = rank_in_rung(values, trials.values())
        return count < MIN_TRIALS or rank < math.ceil(count / REDUCTION_FACTOR)

    def state(self) -> list[list[object]]:
        """Plain JSON: one row for each trial at each rung."""
        return [[*rung, number, list(v)] for rung, trials in self.reached.items() for number, v in trials.items()]

    @classmethod
    def from_state(cls, rows: Iterable[Sequence[object]]) -> Halving:
        """The inverse of `state`.

        Raises:
            DropinError: not such rows.
        """
        halving = cls()
        lengths = set()
        for row in rows:
            match row:
                case [bool(recovery), int(halvings), int(number), [*values]] if _is_row(halvings, number, values):
                    trials = halving.reached.setdefault(Rung(recovery, halvings), {})
                    trials[number] = tuple(float(str(value)) for value in values)
                    lengths.add(len(values))
                case _:
                    raise DropinError(f"a row must be recovery, halvings, trial and its values; got {row!r:.200}")
        if len(lengths) > 1:
            raise DropinError(
                f"all rows must have equally many values; got some with {' and '.join(map(str, lengths))}"
            )
        return halving


def _is_row(halvings: int, number: int, values: Sequence[object]) -> bool:
    """Whether these can be of a rung that `rungs` gives, and the values those of one objective or two."""
    whole = type(halvings) is type(number) is int and 1 <= halvings <= MAX_HALVINGS and number >= 0
    numbers = all(isinstance(value, (int, float)) and abs(value) <= sys.float_info.max for value in values)
    return whole and 1 <= len(values) <= 2 and numbers and not any(isinstance(value, bool) for value in values)


def describe_rungs(reached: Mapping[Rung, Mapping[int, Sequence[float]]]) -> str:
    """How many trials reached each rung, for a person."""
    parts = [
        f"{len(trials)} at 1/{REDUCTION_FACTOR**rung.halvings} of {'the recovery' if rung.recovery else 'the epochs'}"
        for rung, trials in sorted(reached.items())
    ]
    return ", ".join(parts) or "no trial has reached a rung"
