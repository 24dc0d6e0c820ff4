"""The default corpus: real human speech against spoofs, built on first use from packages of Debian or Ubuntu."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import Corpus
from trainables.corpora.demo import build
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "human speech from packages of Debian or Ubuntu, and spoofs of it"
BUILT = True
VARIANTS: Mapping[str, str] = {}
FALLBACK = "synthetic"


def read(
    root: Path | None,
    *,
    cache: Path,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the corpus from the cache, after building it there if need be (a minute or two, once).

    Args:
        root: must be ``None``: the corpus is built, not brought.
        cache: folder for what is built; the corpus takes about 40 MB in it.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: told how far fetching, making and checking are.

    Raises:
        Unavailable: the packages are neither installed nor to be downloaded here; one line says why.
        DropinError: a root is given.
        CorpusError: the copy in the cache is damaged.
    """
    if root is not None:
        raise DropinError(f"corpus demo is built by this project and has no root; got {root}, leave it out")
    place = build.build(Path(cache).resolve(), progress)
    note = json.loads((place / build.ABOUT).read_text(encoding="utf-8"))["note"]
    return asvspoof2019.read(
        place, variant="LA", name="demo", note=note, skip_bad_files=skip_bad_files, progress=progress
    )
