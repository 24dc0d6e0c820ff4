"""What `trials_an_hour` measured, and its tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timing import table

BARS = {"dropin": 8.0, "plasticity": 3.5}
SEARCHED_BARS = {"dropin": 15.0, "plasticity": 8.0}
"""With early stopping and several prunings of a stage."""


@dataclass(frozen=True)
class Run:
    """One command and its trials. Times are seconds since the epoch.

    Attributes:
        started, over: when the command began and exited.
        begins, ends: of every trial; those that ended well come first, in the order of their plans.
        eers: dev EER of every trial that ended well, a fraction.
        base_eer: dev EER of the base.
        parts: mean seconds of a trial by what it does (data, base, plan); the rest of its worker's time lies between
            trials.
    """

    started: float
    over: float
    begins: list[float]
    ends: list[float]
    eers: list[float]
    base_eer: float
    parts: dict[str, float]

    def worker_seconds(self, workers: int) -> float:
        """Seconds of a worker for each trial, from the beginning of its first trial to the end of its last one."""
        return (sum(sorted(self.ends)[-workers:]) - sum(sorted(self.begins)[:workers])) / len(self.eers)

    def rate(self, workers: int) -> float:
        """Trials an hour of a search that goes on."""
        return 3600 * workers / self.worker_seconds(workers)

    def start_up(self) -> float:
        """Seconds from the command to its first trial."""
        return min(self.begins) - self.started

    def whole_rate(self) -> float:
        """Trials an hour from the command to its exit."""
        return 3600 * len(self.eers) / (self.over - self.started)


@dataclass(frozen=True)
class Measured:
    """Both sides of a space and seed, and the plans that ended well."""

    cold: Run
    warm: Run
    peer: Run
    plans: list[dict[str, Any]]

    def differences(self, gains: bool = False) -> list[float]:
        """Ours less the peer's dev EER, plan by plan, in points; with `gains` each counted from its side's base."""
        bases = self.warm.base_eer - self.peer.base_eer if gains else 0.0
        return [100 * (a - b - bases) for a, b in zip(self.warm.eers, self.peer.eers, strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    """Median, smallest and largest."""
    cells = [form.format(value) for value in (statistics.median(values), min(values), max(values))]
    return f"{cells[0]} ({cells[1]} to {cells[2]})"


def comparison(space: str, measured: Mapping[int, Measured], workers: int) -> str:
    """Both sides by seed, and whether the bars are met."""
    rows = []
    ratios = [one.warm.rate(workers) / one.peer.rate(workers) for one in measured.values()]
    for (seed, one), ratio in zip(measured.items(), ratios, strict=True):
        sides = (one.warm, one.peer)
        cells = [f"{side.rate(workers):.0f}" for side in sides] + [f"{ratio:.2f}"]
        cells += [f"{100 * side.base_eer:.2f} %" for side in sides]
        cells += [spread([100 * eer for eer in side.eers], "{:.2f}") + " %" for side in sides]
        rows.append([str(seed), str(len(one.plans)), *cells, spread(one.differences(), "{:+.2f}")])
    head = "seed, plans, ours / h, peer / h, ratio, base ours, base peer, EER ours, EER peer, ours - peer in points"
    pairs = [difference for one in measured.values() for difference in one.differences()]
    gains = [difference for one in measured.values() for difference in one.differences(gains=True)]
    bases = ([one.warm.base_eer for one in measured.values()], [one.peer.base_eer for one in measured.values()])
    noise = 100 * statistics.mean(map(statistics.variance, bases)) ** 0.5
    faster, good = statistics.median(ratios) >= BARS[space], statistics.median(pairs) <= noise
    met = ["missed", "met"]
    return (
        f"{table(head.split(', '), rows)}\n\n"
        f"- Trials an hour: {spread(ratios, '{:.2f}')} times the peer's, at least {BARS[space]:g}: {met[faster]}\n"
        f"- EER: {spread(pairs, '{:+.2f}')} points from the peer's, no worse within seed noise of {noise:.2f}: "
        f"{met[good]}; counted from the bases: {spread(gains, '{:+.2f}')}\n"
    )


def composition(measured: Mapping[int, Measured], workers: int) -> str:
    """Whole commands, and what a trial's time on its worker is made of."""
    commands, parts = [], []
    for side in ("cold", "warm", "peer"):
        runs: list[Run] = [getattr(one, side) for one in measured.values()]
        name = "peer" if side == "peer" else f"ours, {side}"
        rates = ([run.whole_rate() for run in runs], [run.rate(workers) for run in runs])
        start_ups = spread([run.start_up() for run in runs], "{:.1f}")
        commands.append([name, start_ups, *(spread(rate, "{:.0f}") for rate in rates)])
        wholes = [run.worker_seconds(workers) for run in runs]
        columns = [[run.parts.get(part, 0.0) for run in runs] for part in ("data", "base", "plan")]
        rests = [whole - sum(known) for whole, *known in zip(wholes, *columns, strict=True)]
        parts.append([name, *(f"{statistics.median(column):.1f}" for column in (*columns, rests, wholes))])
    head = ["", "seconds to the first trial", "trials / h, whole command", "trials / h"]
    seconds = ["worker's seconds a trial", "decode, transform", "base", "plan", "between trials", "in all"]
    return f"{table(head, commands)}\n\n{table(seconds, parts)}\n"


def details(measured: Mapping[int, Measured]) -> str:
    """A row for every plan."""
    rows = []
    for seed, one in measured.items():
        sides = (one.warm, one.peer)
        for i, plan in enumerate(one.plans):
            grown = ", ".join(f"{site} +{count}" for site, count in plan["grow"].items()) or "-"
            seconds = [f"{side.ends[i] - side.begins[i]:.1f}" for side in sides]
            eers = [f"{100 * side.eers[i]:.2f} %" for side in sides]
            rows.append([str(seed), grown, plan["train"], plan["rule"], plan["criterion"], *seconds, *eers])
    head = "seed, grows, trains, rule, criterion, s ours, s peer, EER ours, EER peer"
    return f"{table(head.split(', '), rows)}\n"


def of_searches(
    space: str, measured: Mapping[int, Measured], found: Mapping[int, tuple[float, int, int]], workers: int
) -> str:
    """Real searches beside the same peer: of each seed trials an hour, how many ended, how many were stopped early."""
    rows, ratios = [], []
    for seed, one in measured.items():
        rate, count, stopped = found[seed]
        ratios.append(rate / one.peer.rate(workers))
        rows.append([str(seed), str(count), str(stopped), f"{rate:.0f}", f"{ratios[-1]:.2f}"])
    verdict = ["missed", "met"][statistics.median(ratios) >= SEARCHED_BARS[space]]
    head = ["seed", "trials", "stopped early", "ours / h", "times the peer's"]
    return (
        f"{table(head, rows)}\n\n- Trials an hour of a search: {spread(ratios, '{:.2f}')} times the peer's, at least "
        f"{SEARCHED_BARS[space]:g}: {verdict}\n"
    )
