"""How many files of each class a reader found and read, so that no class loses any in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

CLASS_NAMES = ("spoof", "bona fide")
"""By label."""
MAX_DIFFERENCE = Fraction(1, 100)
"""Largest difference between the shares of files that the classes of a split lose."""


@dataclass(frozen=True)
class Tally:
    """Files of one class of a split.

    Attributes:
        read: utterances of the corpus.
        left_out: numbers of the others by the reason for which they were left out.
    """

    read: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """How many there are in all."""
        return self.read + sum(self.left_out.values())

    @property
    def lost(self) -> Fraction:
        """Share of those that were left out, 0 to 1."""
        return Fraction(self.found - self.read, self.found or 1)

    def __str__(self) -> str:
        text = f"{self.found:,} found, {self.read:,} read"
        if self.left_out:
            reasons = "; ".join(f"{number:,} {reason}" for reason, number in self.left_out.items())
            text += f", {self.found - self.read:,} left out ({reasons})"
        return text


def tallies(read: Iterable[int], left_out: Iterable[tuple[int, str]]) -> dict[str, Tally]:
    """Tallies by class, bona fide first, of the labels that were read and of those left out with their reasons."""
    labels = Counter(read)
    reasons = (Counter[str](), Counter[str]())
    for label, reason in left_out:
        reasons[label][reason] += 1
    return {CLASS_NAMES[label]: Tally(labels[label], dict(reasons[label])) for label in (1, 0)}


def line(split: str, counts: Mapping[str, Tally]) -> str:
    """A split's tallies in one line, as the reader's user is told."""
    return f"{split}: " + "; ".join(f"{name} {tally}" for name, tally in counts.items())


def unequal_loss(counts: Mapping[str, Tally]) -> str | None:
    """The fault of a split whose classes lose different shares of their files, or ``None``.

    A detector that is trained or judged on what is left would learn or show something else than the corpus has.
    """
    lost = [tally.lost for tally in counts.values()]
    if max(lost) - min(lost) <= MAX_DIFFERENCE:
        return None
    shares = " and ".join(f"{float(tally.lost):.1%} of {name}" for name, tally in counts.items())
    return (
        f"the classes must lose the same share of their files, within {float(MAX_DIFFERENCE):.0%}; {shares} are left "
        "out: convert these files, to FLAC for example, or go on without them by --skip-bad-files"
    )
