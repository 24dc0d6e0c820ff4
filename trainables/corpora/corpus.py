"""A corpus: labelled utterances in three splits, and the error with all faults of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from trainables.corpora.tally import Tally
from trainables.errors import DropinError

SPLITS = ("train", "dev", "eval")
BONA_FIDE = 1
SPOOF = 0
SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Utterance:
    """An audio file with a label.

    Attributes:
        name: its name in the corpus, unique.
        path: absolute path of the audio file.
        label: 1 for bona fide, 0 for spoof.
        speaker: the speaker, or ``-`` if unknown.
        attack: the attack of a spoof, or ``-`` for bona fide utterances.
        conditions: what else is known of it that errors may be broken down by, such as ``codec``, ``transmission`` or
            ``language``; the value is ``-`` where it is not known.
    """

    name: str
    path: Path
    label: int
    speaker: str
    attack: str
    conditions: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Corpus:
    """Utterances in the splits train, dev and eval, in the corpus's own order.

    Attributes:
        name: its name in ``corpora.NAMES``, the longer one where it has two (``fake-or-real-norm``).
        root: absolute folder the corpus was read from.
        splits: utterances by split; always all three, ``()`` for one that the corpus does not have or that was not
            read.
        skipped: a line for every utterance that was left out, with its fault.
        asv_scores: files of ASV scores by split (dev, eval), if there are any: for min t-DCF.
        note: a warning for readers of results (such as simulated speech), or an empty text.
        notes: what whoever asked for it is told once, a line each: that another corpus is read instead, what was
            unusual, and of each split how many files were found, read and left out.
        counts: by split and class (``bona fide``, ``spoof``) the files that were found, read and left out, of the
            splits that were read.
        contents: `content_hash` of the files of utterances, by name, as far as it is known.
    """

    name: str
    root: Path
    splits: Mapping[str, tuple[Utterance, ...]]
    skipped: tuple[str, ...] = ()
    asv_scores: Mapping[str, Path] = field(default_factory=dict)
    note: str = ""
    notes: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, Tally]] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict, repr=False)

    def digest(self) -> str:
        """SHA-256, in hex, of each utterance's split, name, label, speaker, attack and content, in their order.

        It depends neither on the corpus' path nor on the machine, so a copy elsewhere uses the same cached features.
        It is that of the files as they were when the corpus was read.

        Raises:
            CorpusError: a file was deleted since the corpus was read.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        total = hashlib.sha256()
        for split in SPLITS:
            lines = [
                [split, one.name, one.label, one.speaker, one.attack, self.contents.get(one.name) or self._content(one)]
                for one in self.splits[split]
            ]
            total.update(json.dumps(lines).encode())
        return total.hexdigest()

    def _content(self, utterance: Utterance) -> str:
        try:
            return content_hash(utterance.path)
        except OSError as error:
            raise CorpusError(
                f"corpus {self.name} changed after it was read", [f"{utterance.path}: {error}"]
            ) from error


def content_hash(path: Path) -> str:
    """BLAKE2b of a file, 32 bytes in hex.

    Raises:
        OSError: it cannot be read.
    """
    total = hashlib.blake2b(digest_size=32)
    with open(path, "rb", buffering=0) as file:
        while part := file.read(2**20):
            total.update(part)
    return total.hexdigest()


class Unavailable(RuntimeError):
    """A corpus cannot be built on this machine; the message says why in one line."""


class CorpusError(DropinError):
    """A corpus that cannot be used.

    Attributes:
        faults: all faults, each with its file and, for protocols, its line.
    """

    def __init__(self, summary: str, faults: Sequence[str]) -> None:
        """Take a one-line summary and all faults; ``str()`` has the summary, 20 faults and the number of others."""
        self.faults = tuple(faults)
        super().__init__(summary, self.faults)

    def __str__(self) -> str:
        shown = [str(self.args[0]), *self.faults[:SHOWN_FAULTS]]
        more = len(self.faults) - SHOWN_FAULTS
        if more > 0:
            shown.append(f"and {more} more")
        return "\n  ".join(shown)
