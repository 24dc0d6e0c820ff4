"""The default corpus: human speech and spoofs of it, built on first use from packages of Debian or Ubuntu."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.demo import build
from trainables.progress import Progress, silent

WORDS = "human speech from packages of Debian or Ubuntu, and spoofs of it"
ROOT = None
VARIANTS: Mapping[str, str] = {}
FALLBACK = "synthetic"
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ()


def read(
    root: Path | None,
    *,
    cache: Path,
    splits: Sequence[str] = SPLITS,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the corpus from the cache; it is built there first if it does not exist (a minute or two).

    Args:
        root: must be ``None``: the corpus is built, not read from a folder of the user.
        cache: the cache folder; the corpus takes about 40 MB.
        splits: which are read; eval may be absent where others are asked for as well.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called during downloads, synthesis and checks.

    Raises:
        Unavailable: the packages are neither installed nor can be downloaded; the message has the reason.
        CorpusError: the copy in the cache is damaged.
    """
    folder = build.build(Path(cache).resolve(), progress)
    note = json.loads((folder / build.ABOUT).read_text(encoding="utf-8"))["note"]
    return asvspoof2019.read(
        folder,
        variant="LA",
        name="demo",
        note=note,
        splits=splits,
        cache=cache,
        skip_bad_files=skip_bad_files,
        progress=progress,
    )
