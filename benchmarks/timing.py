"""How the step benchmarks measure: alternatives in turn, in one process, on one thread; medians; a Markdown table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one alternative over the rounds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        """Milliseconds: the median and, in brackets, the range."""
        return f"{1e3 * self.median:.1f} ({1e3 * self.least:.1f} to {1e3 * self.most:.1f})"


def in_turn(alternatives: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Timing]:
    """Run every alternative once to warm up, then `rounds` times in turn; each returns the seconds that count."""
    found: dict[str, list[float]] = {name: [] for name in alternatives}
    for number in range(rounds + 1):
        for name, run in alternatives.items():
            seconds = run()
            if number:
                found[name].append(seconds)
    return {name: Timing(statistics.median(own), min(own), max(own)) for name, own in found.items()}


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """`run` as an alternative whose whole time counts."""

    def measure() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return measure


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that tensors of `run` take at once, beyond what was taken before it. CPU only."""
    run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    assert profile.profiler is not None
    results = profile.profiler.kineto_results
    assert results is not None
    taken = most = 0
    events = [event for event in results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda one: one.start_ns()):
        taken += event.nbytes()
        most = max(most, taken)
    return most


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [list(header), ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def verdict(ratio: float, bar: float) -> str:
    """A ratio beside its bar."""
    return f"{ratio:.3f} ({'met' if ratio <= bar else 'missed'}: at most {bar:g})"
