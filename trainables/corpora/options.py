"""What a user may say of a corpus besides its root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SPLIT_SHARES = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class CorpusOptions:
    """Options of corpora; each corpus takes those that its ``OPTIONS`` names, and the others keep their defaults.

    Attributes:
        subset: which part of an evaluation set counts, such as ``eval``, ``progress``, ``hidden`` or ``all`` of
            ASVspoof 2021; empty for what its organisers report.
        bonafide_root: folder of bona fide speech for corpora that have spoofs only.
        split_shares: shares of train, dev and eval for recordings that come without splits; not negative, with the sum
            1.
        split_seed: of the draw of these splits.
        follow_links: read what symbolic links below the root lead to, wherever that is.
    """

    subset: str = ""
    bonafide_root: Path | None = None
    split_shares: tuple[float, float, float] = SPLIT_SHARES
    split_seed: int = 0
    follow_links: bool = False
