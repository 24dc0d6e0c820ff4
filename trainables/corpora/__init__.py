"""Corpora: where audio comes from. `NAMES` lists them, each with the file that reads it; a file may read several.

A file defines

- ``WORDS``: what it is: corpus ... is ("simulated speech").
- ``BUILT``: whether this project makes the corpus, in the cache; any other is read from a root that the user has.
- ``VARIANTS``: by corpus the ``variant`` that ``read`` is given; empty where ``read`` takes none.
- ``FALLBACK``: the corpus that is read instead where ``read`` raises ``Unavailable``, or ``None``.
- ``read(root, *, cache, skip_bad_files, progress) -> Corpus``, see `read`.

``BUILT`` is a literal, since it is read without an import of the file.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainables.corpora.corpus import Corpus, Unavailable
from trainables.errors import DropinError, into_cache
from trainables.progress import Progress, silent
from trainables.registry import Registry

NAMES = {
    "demo": "demo",
    "asvspoof2019-la": "asvspoof2019",
    "asvspoof2019-pa": "asvspoof2019",
    "fake-or-real": "fake_or_real",
    "fake-or-real-original": "fake_or_real",
    "fake-or-real-norm": "fake_or_real",
    "fake-or-real-2sec": "fake_or_real",
    "fake-or-real-rerec": "fake_or_real",
    "synthetic": "synthetic",
}
_CORPORA = Registry(__name__, "corpus", ("WORDS", "BUILT", "VARIANTS", "FALLBACK", "read"))
load = _CORPORA.load


def is_built(name: str) -> bool:
    """Whether a corpus is made by this project, so that it has no root. The corpus's file is not imported.

    Raises:
        DropinError: no corpus of this name.
    """
    return bool(_CORPORA.constant(name, "BUILT"))


def read(
    name: str,
    root: Path | None,
    *,
    cache: Path,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read a corpus, or build it first where it is one that is made here.

    Where it cannot be built and has a fallback, that is read instead, and its ``notes`` say so in one line.

    Args:
        name: one of `NAMES`.
        root: folder of a corpus that the user has; ``None`` for one that is built.
        cache: folder for what is built.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: told how far building and checking are.

    Raises:
        DropinError: unknown name, a root missing or given where there is none.
        CorpusError: everything wrong with the corpus, all at once.
        Unavailable: it cannot be built here and has no fallback.
        DropinError: the cache is full, or cannot be written.
    """
    module = load(name)
    if module.BUILT and root is not None:
        raise DropinError(f"corpus {name} is built by this project and has no root; got {root}, leave it out")
    if not module.BUILT and root is None:
        raise DropinError(f"corpus {name} must be given with its root; say where it lies (--corpus-root)")
    options: dict[str, Any] = {"cache": cache, "skip_bad_files": skip_bad_files, "progress": progress}
    variant = {"variant": module.VARIANTS[name]} if name in module.VARIANTS else {}
    try:
        with into_cache(cache) if module.BUILT else nullcontext():
            corpus: Corpus = module.read(root, **options, **variant)
        return corpus
    except Unavailable as error:
        if module.FALLBACK is None:
            raise
        other, instead = module.FALLBACK, read(module.FALLBACK, root, **options)
        note = f"corpus {name} cannot be built here ({error}); going on with {other}, which is {load(other).WORDS}"
        return replace(instead, notes=(note, *instead.notes))
