"""Successive halving with one objective or several: who goes on from a rung. No Ray.

A rung is a moment in the life of trials that can be compared. Who is among the best half of those that reached it so
far goes on (asynchronous successive halving: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning",
MLSys 2020; here a trial is stopped at once, not paused). With two objectives the order is that of non-dominated sorting
(`search.runs.pareto.ranks`), as in NSGA-II, and within a rank that of `surpassed`. With one it is the order of values.

The smallest detector is never dominated, however bad it is, and a front of many members leaves nobody to stop. So ranks
alone will not do, and neither will distances to the front on axes that one long outlier can stretch. `surpassed` looks
at neighbours along the size axis instead: a member whose slightly larger neighbours make far fewer errors goes first.

Only the order of values is used, on every axis, and of equal points one counts. So no monotone rescaling of an
objective changes anything, nor does a plan that was tried twice, nor who came first among those that are there.

Fairness. A trial's structure changes up to some epoch, its last change; what is measured before says less about its
end.

- Before a cut nothing is judged. In real searches the ranks of small detectors by their EERs before the cut and in the
  end hardly went together (correlation 0.0 to 0.2), by those after a first epoch of recovery they did (0.5 to 0.7). Who
  is stopped before is all but drawn by lot.
- Before a growth that is the last change: the trial is judged by its EER and the size that its plan will end with, and
  only against others that will still grow, after equally many epochs.
- After the last change: what counts is how much of the recovery is over, since plans cut at different epochs. A rung is
  a share of the epochs from the last change to the end, and at the same share all have the same part of their learning
  curve ahead.

Worth. To stop saves what lies ahead, at the risk of losing a good detector for which the dearest part was paid. Halving
rests on rungs that cost about as much as all before them (`pays`); after a far cut what is left costs next to nothing.
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

REDUCTION = 2
"""Of so many trials in a rung one goes on."""
LEAST = 4
"""No trial is stopped before so many different ones have reached a rung."""
FIRST = 4
"""The first rung comes after so many epochs, or after a quarter of a short trial."""
SLICES = 4
"""A neighbourhood along the size axis is one of so many slices of a rung's trials."""
MOST_HALVINGS = 64
"""More than any number of epochs can be halved."""


class Rung(NamedTuple):
    """What trials have to share to be compared.

    Attributes:
        settled: whether the structure has changed for the last time.
        halvings: the rung lies where ``2 ** -halvings`` of the epochs are over.
    """

    settled: bool
    halvings: int


def rungs(begin: int, end: int, epochs: int, *, settled: bool) -> dict[int, Rung]:
    """The epochs in ``(begin, end)`` after which a phase of a trial is judged.

    Args:
        begin, end: the phase: from the trial's start to its last change, or from there to its end.
        epochs: of the whole trial; before the last change rungs are shares of these.
        settled: whether this is the phase after the last change.
    """
    length, found = end - begin if settled else epochs, {}
    for halvings in range(1, max(1, length).bit_length()):
        passed = math.ceil(length / REDUCTION**halvings)
        if passed < min(FIRST, math.ceil(length / 4)):
            break
        if begin + passed < end:
            found[begin + passed] = Rung(settled, halvings)
    return found


def rung_of(epoch: int, last_change: int, epochs: int, last_cut: int = 0) -> Rung | None:
    """The rung of a trial after so many of its epochs, if there is one; none before its last cut."""
    if epoch <= last_cut:
        return None
    if epoch > last_change:
        return rungs(last_change, epochs, epochs, settled=True).get(epoch)
    return rungs(0, last_change, epochs, settled=False).get(epoch)


def pays(work_done: float) -> bool:
    """Whether to stop a trial saves at least as much as it has cost, by the share of its work that is over."""
    return work_done <= 1 / REDUCTION


def surpassed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many of its next larger neighbours make fewer errors, for every one of different points.

    Args:
        points: ``[n, 2]``, error and size, no two equal.

    Returns:
        ``[n]``, from 0 to the length of a slice, ``ceil(n / SLICES)``.
    """
    length = math.ceil(len(points) / SLICES)
    order = np.lexsort((points[:, 0], points[:, 1]))
    errors = points[order, 0]
    found = np.zeros(len(points), dtype=np.int64)
    for place, index in enumerate(order):
        found[index] = int((errors[place + 1 : place + 1 + length] < errors[place]).sum())
    return found


def standing(point: Sequence[float], others: Iterable[Sequence[float]]) -> tuple[int, int]:
    """How many different points come before one, and how many there are.

    Args:
        point: its objectives, all to be made small: one, or error and size.
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
    keys = [pareto.ranks(points), surpassed(points), points[:, 0]]
    order = np.lexsort(keys[::-1])
    place = next(number for number, index in enumerate(order) if tuple(points[index]) == own)
    return place, len(points)


@dataclass
class Halving:
    """Who reached which rung, and who goes on.

    Attributes:
        reached: by rung and trial number, what the trial was worth there.
    """

    reached: dict[Rung, dict[int, tuple[float, ...]]] = field(default_factory=dict)

    def goes_on(self, number: int, rung: Rung, values: Sequence[float]) -> bool:
        """Note that a trial reached a rung, and decide.

        A trial that reaches a rung again, since its worker was lost, replaces what is there of it.
        """
        trials = self.reached.setdefault(rung, {})
        trials[number] = tuple(map(float, values))
        place, count = standing(values, trials.values())
        return count < LEAST or place < math.ceil(count / REDUCTION)

    def state(self) -> list[list[object]]:
        """Plain JSON: one row for each trial at each rung."""
        return [[*rung, number, list(v)] for rung, trials in self.reached.items() for number, v in trials.items()]

    @classmethod
    def of(cls, rows: Iterable[Sequence[object]]) -> Halving:
        """The inverse of `state`.

        Raises:
            DropinError: not such rows.
        """
        made = cls()
        lengths = set()
        for row in rows:
            match row:
                case [bool(settled), int(halvings), int(number), [*values]] if _is_verdict(halvings, number, values):
                    kept = made.reached.setdefault(Rung(settled, halvings), {})
                    kept[number] = tuple(float(str(value)) for value in values)
                    lengths.add(len(values))
                case _:
                    raise DropinError(f"a row must be settled, halvings, trial and its values; got {row!r:.200}")
        if len(lengths) > 1:
            raise DropinError(f"rows must have equally many values; got some with {' and '.join(map(str, lengths))}")
        return made


def _is_verdict(halvings: int, number: int, values: Sequence[object]) -> bool:
    """Whether these can be of a rung that `rungs` gives, and the values those of one objective or two."""
    whole = type(halvings) is type(number) is int and 1 <= halvings <= MOST_HALVINGS and number >= 0
    numbers = all(isinstance(value, (int, float)) and abs(value) <= sys.float_info.max for value in values)
    return whole and 1 <= len(values) <= 2 and numbers and not any(isinstance(value, bool) for value in values)


def by_rung(reached: Mapping[Rung, Mapping[int, Sequence[float]]]) -> str:
    """How many trials reached each rung, for a person."""
    parts = [
        f"{len(trials)} at 1/{REDUCTION**rung.halvings} of {'the recovery' if rung.settled else 'the epochs'}"
        for rung, trials in sorted(reached.items())
    ]
    return ", ".join(parts) or "no trial has reached a rung"
