"""Splits for recordings that come without any: no speaker in two of them, and each attack in all as far as it goes.

Speakers are assigned as scikit-learn's ``StratifiedGroupKFold`` does it, the largest first and each to where it makes
the strata fit best; folds of equal size, and empty ones where speakers are few, would be of no use here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.corpora.corpus import SPLITS, Utterance

_MISSING = 1e6
"""Cost of a split without one of the classes; above that of any imbalance."""
_MAX_MOVES = 1000


@dataclass(frozen=True)
class MadeSplits:
    """Splits of utterances.

    Attributes:
        split: of each utterance, in the order they were given in.
        by_speaker: whether no known speaker is in two splits; ``False`` where speakers are too few, or unknown.
        speakers: how many known speakers there are.
        unknown: how many utterances have no known speaker.
    """

    split: tuple[str, ...]
    by_speaker: bool
    speakers: int
    unknown: int


def make_splits(utterances: Sequence[Utterance], shares: Sequence[float], seed: int) -> MadeSplits:
    """Assign utterances to train, dev and eval.

    The result depends on names, labels, speakers and attacks, not on the order of the utterances, and is the same on
    any machine. Utterances without a known speaker (``-``) are assigned one by one; so are all of them where speakers
    are so few that a split would be without a class.

    Args:
        utterances: with different names.
        shares: of train, dev and eval; with the sum 1.
        seed: of the draw.
    """
    order = sorted(range(len(utterances)), key=lambda one: _key(seed, utterances[one].name))
    known = [one for one in order if utterances[one].speaker != "-"]
    alone = [one for one in order if utterances[one].speaker == "-"]
    speakers = sorted({utterances[one].speaker for one in known}, key=lambda name: _key(seed, name))
    given = np.array(shares, dtype=np.float64)
    split = np.full(len(utterances), -1)
    if speakers:
        index = {speaker: number for number, speaker in enumerate(speakers)}
        counts = _counts([(index[utterances[one].speaker], utterances[one]) for one in known], len(speakers))
        assigned = _assign_groups(counts, given)
        split[known] = [assigned[index[utterances[one].speaker]] for one in known]
    split[alone] = _assign_singly([utterances[one] for one in alone], given)
    by_speaker = bool(speakers) and _complete(split, [one.label for one in utterances], given)
    if speakers and not by_speaker:
        split[order] = _assign_singly([utterances[one] for one in order], given)
    return MadeSplits(tuple(SPLITS[number] for number in split), by_speaker, len(speakers), len(alone))


def _key(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()


def _counts(members: Sequence[tuple[int, Utterance]], groups: int) -> npt.NDArray[np.float64]:
    """Utterances of each group by stratum ``[groups, 2 + attacks]``: the two labels, and each attack."""
    strata: dict[Hashable, int] = {0: 0, 1: 1}
    places = []
    for group, one in members:
        places.append((group, one.label))
        if not one.label:
            places.append((group, strata.setdefault(one.attack, len(strata))))
    counts = np.zeros((groups, len(strata)))
    rows, columns = np.array(places).T
    np.add.at(counts, (rows, columns), 1)
    return counts


def _assign_groups(counts: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Splits of groups: greedily, the largest first, then single moves while one makes the whole fit better."""
    wanted = shares[:, None] * counts.sum(0)
    scale = np.maximum(counts.sum(0), 1)

    def cost(totals: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # Rounded, so that sums in another order choose the same.
        missing = ((totals[..., :2] == 0) & (wanted[..., :2] > 0)).sum(-1)
        return np.round(_MISSING * missing + (((totals - wanted) / scale) ** 2).sum(-1), 9)

    assigned = np.empty(len(counts), dtype=np.int64)
    totals = np.zeros_like(wanted)
    for group in np.argsort(-counts[:, :2].sum(1), kind="stable"):
        assigned[group] = np.argmin(cost(totals + counts[group], wanted) - cost(totals, wanted) + _closed(shares))
        totals[assigned[group]] += counts[group]
    groups = np.arange(len(counts))
    for _ in range(_MAX_MOVES):
        left = cost(totals[assigned] - counts, wanted[assigned]) - cost(totals, wanted)[assigned]
        joined = np.stack([cost(totals[one] + counts, wanted[one]) for one in range(len(shares))], 1)
        change = left[:, None] + joined - cost(totals, wanted) + _closed(shares)
        change[groups, assigned] = 0
        group, to = np.unravel_index(np.argmin(np.round(change, 9)), change.shape)
        if change[group, to] > -1e-9:
            break
        totals[assigned[group]] -= counts[group]
        totals[to] += counts[group]
        assigned[group] = to
    return assigned


def _closed(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What keeps groups out of splits with the share 0."""
    return np.where(shares > 0, 0.0, np.inf)


def _assign_singly(utterances: Sequence[Utterance], shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Splits of single utterances: within one of each share in every class, and within two in every attack."""
    split = np.empty(len(utterances), dtype=np.int64)
    for label in (0, 1):
        # Sorted by attack, an attack is a run of the sequence, any run of which has the shares.
        mine = sorted(
            (number for number, one in enumerate(utterances) if one.label == label),
            key=lambda number: utterances[number].attack,
        )
        split[mine] = _sequence(len(mine), shares)
    return split


def _sequence(length: int, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Splits in turn, always the one that is furthest behind its share."""
    taken = [0] * len(shares)
    out = np.empty(length, dtype=np.int64)
    for number in range(length):
        behind = [float(share) * (number + 1) - count for share, count in zip(shares, taken, strict=True)]
        one = max(range(len(behind)), key=lambda split: round(behind[split], 9))
        taken[one] += 1
        out[number] = one
    return out


def _complete(split: npt.NDArray[np.int64], labels: Sequence[int], shares: npt.NDArray[np.float64]) -> bool:
    """Whether each split with a share has both classes."""
    met = set(zip(split.tolist(), labels, strict=True))
    return all((one, label) in met for one in np.flatnonzero(shares).tolist() for label in (0, 1))
