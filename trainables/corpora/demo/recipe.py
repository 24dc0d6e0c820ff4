"""Composition of the corpus: prompt, speaker, attack and split of every utterance.

Train and dev share speakers and attacks but no prompt; eval has another speaker and unseen attacks. Each language has
the same share of both classes, so that the language does not reveal the class. No random generator is used: the order
of all choices is that of SHA-256 digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainables.corpora.demo.speech import VOICES, Prompt
from trainables.errors import DropinError

VERSION = 1
"""Part of the folder's digest: raise it with every change to a file of the corpus."""
LANGUAGES: Mapping[str, Mapping[str, float]] = {
    "train": {"en": 0.5, "es": 0.25, "ru": 0.25},
    "dev": {"en": 0.5, "es": 0.25, "ru": 0.25},
    "eval": {"it": 1.0},
}
BONA_FIDE: Mapping[str, int] = {"train": 204, "dev": 88, "eval": 90}
SPOOFS: Mapping[str, int] = {"train": 324, "dev": 144, "eval": 150}


@dataclass(frozen=True)
class Attack:
    """One way to make spoofs.

    Attributes:
        name: in the protocols.
        summary: a description.
        languages: the languages that it supports.
        copies: whether it is copy synthesis of a recorded prompt, and not text to speech.
    """

    name: str
    summary: str
    languages: tuple[str, ...]
    copies: bool


_SEEN = ("en", "es", "ru")
ATTACKS: Mapping[str, tuple[Attack, ...]] = {
    "seen": (
        Attack("A01", "eSpeak NG formant synthesis", _SEEN, False),
        Attack("A02", "Flite statistical synthesis", ("en",), False),
        Attack("A03", "WORLD copy synthesis", _SEEN, True),
        Attack("A04", "mel spectrogram and Griffin-Lim copy synthesis", _SEEN, True),
        Attack("A05", "Festival diphone synthesis", ("en",), False),
        Attack("A06", "linear prediction vocoder", _SEEN, True),
    ),
    "unseen": (
        Attack("A07", "eSpeak NG Klatt synthesis", ("it",), False),
        Attack("A08", "WORLD with shifted pitch", ("it",), True),
        Attack("A09", "WORLD with a coded envelope", ("it",), True),
        Attack("A10", "coarse mel spectrogram and Griffin-Lim copy synthesis", ("it",), True),
        Attack("A11", "Festival diphone synthesis in Italian", ("it",), False),
    ),
}


@dataclass(frozen=True)
class Job:
    """One utterance to make.

    Attributes:
        split: train, dev or eval.
        name: file name without suffix.
        prompt: its text and recording.
        attack: name of the attack, ``-`` for bona fide.
    """

    split: str
    name: str
    prompt: Prompt
    attack: str

    @property
    def speaker(self) -> str:
        """Speaker in the protocols; a spoof has the speaker of its prompt."""
        return f"LA_{VOICES[self.prompt.language]}"


def jobs(prompts: Mapping[str, Sequence[Prompt]], available: Sequence[Attack]) -> tuple[Job, ...]:
    """Every utterance of the corpus, in the order of the protocols.

    Args:
        prompts: by language, each in pseudo-random order.
        available: the attacks whose programs are available; the shares of others go to these.

    Raises:
        DropinError: a language has too few prompts.
    """
    parts = {language: _divide(language, found) for language, found in prompts.items()}
    made: list[Job] = []
    for split, shares in LANGUAGES.items():
        numbers = {language: round(BONA_FIDE[split] * share) for language, share in shares.items()}
        chosen = {language: parts[language][split] for language in shares}
        pairs = [(prompt, "-") for language, number in numbers.items() for prompt in chosen[language][0][:number]]
        group = ATTACKS["unseen" if split == "eval" else "seen"]
        copied = dict.fromkeys(shares, 0)
        said = dict.fromkeys(shares, 0)
        for (attack, language), number in _shares(split, [one for one in group if one in available]).items():
            bona_fide, sources = chosen[language]
            # The prompts of copy synthesis are never bona fide utterances as well; those of text to speech may be.
            pool, turn = (sources, copied) if attack.copies else ((*sources, *bona_fide), said)
            pairs += [(pool[(turn[language] + step) % len(pool)], attack.name) for step in range(number)]
            turn[language] += number
        pairs.sort(key=lambda pair: _rank(split, pair[0].language, pair[0].key, pair[1]))
        letter = split[0].upper()
        made += [Job(split, f"LA_{letter}_{1000001 + number}", *pair) for number, pair in enumerate(pairs)]
    return tuple(made)


def number_of(*words: str) -> int:
    """A pseudo-random number that depends on these words only: the seed of variations between utterances."""
    return int.from_bytes(_rank(*words)[:4], "big")


def _rank(*words: str) -> bytes:
    return hashlib.sha256("/".join(words).encode()).digest()


def _divide(language: str, found: Sequence[Prompt]) -> dict[str, tuple[Sequence[Prompt], Sequence[Prompt]]]:
    """For each split with this language: its bona fide prompts and those for copy synthesis."""
    splits = [split for split, shares in LANGUAGES.items() if language in shares]
    bona_fide = {split: round(BONA_FIDE[split] * LANGUAGES[split][language]) for split in splits}
    spare = len(found) - sum(bona_fide.values())
    if spare < len(found) // 10:
        raise DropinError(
            f"there must be more than {sum(bona_fide.values())} prompts in {language}; found {len(found)}"
        )
    parts = {}
    start = 0
    for split in splits:
        middle = start + bona_fide[split]
        end = middle + spare * bona_fide[split] // sum(bona_fide.values())
        parts[split] = (found[start:middle], found[middle:end])
        start = end
    return parts


def _shares(split: str, group: Sequence[Attack]) -> dict[tuple[Attack, str], int]:
    """Number of spoofs of each attack in each language, with the share of every language and equal numbers by attack.

    An attack that does not support a language has more spoofs in the language that most attacks support.
    """
    left = dict(zip(group, _even(SPOOFS[split], len(group)), strict=True))
    speakers = {language: [one for one in group if language in one.languages] for language in LANGUAGES[split]}
    *others, widest = sorted(speakers, key=lambda language: len(speakers[language]))
    shares: dict[tuple[Attack, str], int] = {}
    for language in others:
        numbers = _even(round(SPOOFS[split] * LANGUAGES[split][language]), len(speakers[language]))
        for attack, number in zip(speakers[language], numbers, strict=True):
            shares[attack, language] = number
            left[attack] -= number
    return shares | {(attack, widest): left[attack] for attack in speakers[widest]}


def _even(total: int, parts: int) -> list[int]:
    return [total * (part + 1) // parts - total * part // parts for part in range(parts)]
