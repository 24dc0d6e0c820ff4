"""What a corpus is: labelled audio files in three splits, and the error that names everything wrong with one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainables.errors import DropinError

SPLITS = ("train", "dev", "eval")
BONA_FIDE = 1
SPOOF = 0
SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Utterance:
    """One audio file.

    Attributes:
        name: unique in its corpus, as the corpus itself calls it.
        path: absolute path of the audio file.
        label: 1 for bona fide, 0 for spoof.
        speaker: who speaks, or ``-`` where the corpus does not say.
        attack: what made the spoof, or ``-`` for bona fide speech.
    """

    name: str
    path: Path
    label: int
    speaker: str
    attack: str


@dataclass(frozen=True)
class Corpus:
    """Utterances in the splits train, dev and eval, in the corpus's own order.

    Attributes:
        name: its name in ``corpora.NAMES``, the longer one where it has two (``fake-or-real-norm``).
        root: absolute folder the corpus was read from.
        splits: utterances by split; always all three, eval is ``()`` where the corpus came without one.
        skipped: one line for every utterance left out because its file is bad.
        asv_scores: files of speaker verification scores by split (dev, eval), where there are any: for min t-DCF.
        note: what a reader of results has to know about the corpus (simulated speech), or nothing.
    """

    name: str
    root: Path
    splits: Mapping[str, tuple[Utterance, ...]]
    skipped: tuple[str, ...] = ()
    asv_scores: Mapping[str, Path] = field(default_factory=dict)
    note: str = ""

    def digest(self) -> str:
        """SHA-256, in hex, of each utterance's split, name, label, speaker, attack and file size, in their order.

        It does not depend on where the corpus lies, so a copy elsewhere finds the same cached features.

        Raises:
            CorpusError: a file went away since the corpus was read.
        """
        total = hashlib.sha256()
        for split in SPLITS:
            for one in self.splits[split]:
                try:
                    size = one.path.stat().st_size
                except OSError as error:
                    raise CorpusError(
                        f"corpus {self.name} changed after it was read", [f"{one.path}: {error}"]
                    ) from error
                line = json.dumps([split, one.name, one.label, one.speaker, one.attack, size])
                total.update(line.encode() + b"\n")
        return total.hexdigest()


class Unavailable(RuntimeError):
    """A corpus cannot be built on this machine; the message says why in one line."""


class CorpusError(DropinError):
    """A corpus that cannot be used as it is.

    Attributes:
        faults: every fault found, each naming its file and, for protocols, its line.
    """

    def __init__(self, summary: str, faults: Sequence[str]) -> None:
        """Take a line about the whole and the faults; ``str()`` gives the line, 20 faults and how many more."""
        self.faults = tuple(faults)
        super().__init__(summary, self.faults)

    def __str__(self) -> str:
        shown = [str(self.args[0]), *self.faults[:SHOWN_FAULTS]]
        more = len(self.faults) - SHOWN_FAULTS
        if more > 0:
            shown.append(f"and {more} more")
        return "\n  ".join(shown)
