"""Conditions that errors are broken down by: attack, speaker, and what a corpus knows besides, such as the codec.

A value of a condition is judged on the utterances that have it, of both classes. Some conditions say how a spoof was
made, and bona fide utterances cannot have them: the attack, and every condition that is ``-`` for each bona fide
utterance of the split, as the vocoder is. There the spoofs of a value are judged against all bona fide utterances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.corpora.corpus import BONA_FIDE, SPOOF, Utterance
from trainables.errors import DropinError

ATTACK, SPEAKER = "attack", "speaker"
UNKNOWN = "-"


@dataclass(frozen=True)
class Condition:
    """The values of a condition, as small numbers.

    Attributes:
        name: such as ``attack`` or ``codec``.
        values: the distinct values, sorted.
        codes: ``[n]`` int32, for each utterance the place of its value in `values`.
        of_spoofs: whether only spoofs can have it, so that they are judged against all bona fide utterances.
    """

    name: str
    values: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    of_spoofs: bool

    def groups(self, labels: npt.NDArray[np.int64]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        """Each value with the utterances ``[n]`` that it is judged on; none where these are bona fide alone.

        Args:
            labels: ``[n]``, 1 for bona fide and 0 for spoof.
        """
        for place, value in enumerate(self.values):
            own = self.codes == place
            if self.of_spoofs:
                own &= labels == SPOOF
                if not own.any():
                    continue
                own |= labels == BONA_FIDE
            yield value, own


def read_conditions(utterances: Sequence[Utterance], names: Sequence[str]) -> list[Condition]:
    """The conditions of these names.

    Raises:
        DropinError: utterances have none of such a name; the message lists those that they have.
    """
    if unknown := [name for name in names if name not in (known := available(utterances))]:
        raise DropinError(
            f"--by must name conditions that the corpus has, {', '.join(known)}; got {', '.join(unknown)}: correct it"
        )
    return [_condition(utterances, name) for name in dict.fromkeys(names)]


def available(utterances: Sequence[Utterance]) -> list[str]:
    """Names of the conditions that some utterance has, attack and speaker first."""
    more = {key for one in utterances for key in one.conditions}
    return [ATTACK, SPEAKER, *sorted(more - {ATTACK, SPEAKER})]


def _condition(utterances: Sequence[Utterance], name: str) -> Condition:
    found: dict[str, int] = {}
    codes = np.fromiter((found.setdefault(_value(one, name), len(found)) for one in utterances), np.int32)
    values = tuple(sorted(found))
    place = {found[value]: number for number, value in enumerate(values)}
    codes = np.array([place[number] for number in range(len(values))], np.int32)[codes]
    return Condition(name, values, codes, name == ATTACK or _of_spoofs(utterances, name))


def _of_spoofs(utterances: Sequence[Utterance], name: str) -> bool:
    """Whether no bona fide utterance has a known value, and a spoof has."""
    known = {one.label for one in utterances if _value(one, name) != UNKNOWN}
    return known == {SPOOF}


def _value(utterance: Utterance, name: str) -> str:
    if name == ATTACK:
        return utterance.attack
    return utterance.speaker if name == SPEAKER else utterance.conditions.get(name, UNKNOWN)
