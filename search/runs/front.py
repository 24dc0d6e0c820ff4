"""The Pareto front of trials by dev EER and size, and how a run stands so far."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from search.runs import pareto
from search.runs.record import Record


def front_of(records: Iterable[Record]) -> list[Record]:
    """The complete trials that no other beats in both EER and size, smallest first."""
    complete = [r for r in records if r.state == "COMPLETE" and r.eer is not None and r.size is not None]
    if not complete:
        return []
    mask = pareto.front(np.array([(r.eer, r.size) for r in complete], dtype=float))
    return sorted((r for r, member in zip(complete, mask, strict=True) if member), key=lambda r: (r.size, r.eer))


def separated(front: Sequence[Record]) -> dict[int, bool]:
    """Of each member of a front, by number, whether its interval of EER is clear of those of its neighbours in size.

    Where it is not, the dev split is too small to tell the two apart, and the smaller one may be as good.

    Args:
        front: in the order of size; members without an interval are left out.
    """
    known = [(r.number, r.eer_low, r.eer_high) for r in front if r.eer_low is not None and r.eer_high is not None]
    found = {number: True for number, _, _ in known}
    for (smaller, low, _), (larger, _, high) in itertools.pairwise(known):
        if low <= high:
            found[smaller] = found[larger] = False
    return found


def best_of(records: Iterable[Record]) -> Record | None:
    """The complete trial with the lowest weighted EER, the earliest of equals; ``None`` where there is none."""
    complete = [r for r in records if r.state == "COMPLETE" and r.weighted_eer is not None]
    return min(complete, key=lambda r: (r.weighted_eer, r.number), default=None)


class Standings:
    """How the trials of a run stand so far: kept once, and asked by searcher, display and metrics.

    Attributes:
        states: how many trials ended in each state.
        cache_hits: how many trials the cached activations, and the growth cache, were there for.
        front: the Pareto front, smallest first.
        best: the complete trial with the lowest weighted EER, or ``None``.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        """Begin with trials that ended before."""
        self.states: Counter[str] = Counter()
        self.cache_hits: Counter[str] = Counter()
        self.front: list[Record] = []
        self.best: Record | None = None
        for record in records:
            self.add(record)

    def add(self, record: Record) -> list[Record]:
        """Add a trial that ended.

        Returns:
            The complete trials that are beaten now and were not before: former members of the front, or this one.
        """
        self.states[record.state] += 1
        self.cache_hits["activations"] += record.cached_links > 0
        self.cache_hits["growth"] += record.from_growth_cache
        if record.state != "COMPLETE":
            return []
        candidates = [*self.front, record]
        self.front = front_of(candidates)
        self.best = best_of([record, *([self.best] if self.best is not None else [])])
        members = {one.number for one in self.front}
        return [one for one in candidates if one.number not in members]

    def leads(self, eer: float, size: float, rounded: Callable[[float], float] = float) -> bool:
        """Whether a detector of this EER and size would join the front, as far as `rounded` sizes tell.

        Args:
            eer: on dev, a fraction.
            size: parameters.
            rounded: never decreasing; sizes that it rounds to one number count as equal.
        """
        return not any(
            one.eer is not None and one.size is not None and one.eer <= eer and rounded(one.size) <= rounded(size)
            for one in self.front
        )

    @property
    def ended(self) -> int:
        """How many trials ended."""
        return self.states.total()
