"""How sure an equal error rate is: a bootstrap interval over utterances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.metrics.eer import crossing, eer_of

RESAMPLES = 400
PORTION = 50
"""Resamples that are computed at once, or fewer where there are so many distinct scores that memory would swell."""
CELLS = 4_000_000
"""Most counts of a portion: resamples times distinct scores, 8 bytes each."""


def eer_interval(
    scores: npt.ArrayLike, labels: npt.ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Between which rates the EER would lie if other utterances of the same kind had been scored.

    Percentiles of the EERs of samples drawn from the utterances with replacement, each class by itself, so that a
    sample has as many bona fide utterances as the split (B. Efron, "Bootstrap Methods: Another Look at the Jackknife",
    Annals of Statistics 1979; S. Bengio and J. Mariethoz, "A Statistical Significance Test for Person Authentication",
    Odyssey 2004). It says nothing about other speakers, attacks or seeds.

    Args:
        scores: [n], higher for bona fide.
        labels: [n], 1 for bona fide and 0 for spoof.
        level: share of the samples within the interval, in (0, 1).
        resamples: how many samples are drawn, at least 1.
        seed: of the draws.

    Returns:
        Lower and upper end, fractions in [0, 1].

    Raises:
        ValueError: what `eer_of` refuses, or a level or number of samples out of its range.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval must lie between 0 and 1; got {level}")
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least 1 sample; got {resamples}")
    eer_of(scores, labels)
    _, place = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    keys, random = np.asarray(labels), np.random.default_rng(seed)
    found, portion = [], max(1, min(PORTION, CELLS // (int(place.max()) + 1)))
    for begin in range(0, resamples, portion):
        count = min(portion, resamples - begin)
        misses, accepted = (_below(place, keys == label, count, random) for label in (1, 0))
        found.append(crossing(misses, accepted[:, -1:] - accepted)[1])
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _below(
    place: npt.NDArray[np.int64], own: npt.NDArray[np.bool_], count: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """How many of a class lie below each distinct score, then how many there are, ``[count, k + 1]``, in samples."""
    numbers = np.bincount(place[own], minlength=place.max() + 1)
    drawn = random.multinomial(numbers.sum(), numbers / numbers.sum(), size=count)
    return np.concatenate([np.zeros((count, 1), dtype=np.int64), drawn.cumsum(axis=1)], axis=1)
