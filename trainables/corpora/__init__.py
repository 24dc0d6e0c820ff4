"""Corpora: where audio comes from. `NAMES` lists them, each with the file that reads it; a file may read several.

A file defines

- ``WORDS``: what it is: corpus ... is ("simulated speech").
- ``ROOT``: what the user's root is, in words; ``None`` where this project makes the corpus, in the cache.
- ``VARIANTS``: by corpus the ``variant`` that ``read`` is given; empty where ``read`` takes none.
- ``FALLBACK``: the corpus that is read instead where ``read`` raises ``Unavailable``, or ``None``.
- ``EVAL_ONLY``: whether it has no train split, so that detectors are evaluated on it and not trained.
- ``OPTIONS``: names of the fields of `options.CorpusOptions` that ``read`` takes as arguments.
- ``read(root, *, cache, splits, skip_bad_files, progress, **own) -> Corpus``, see `read`.

``ROOT``, ``EVAL_ONLY`` and ``OPTIONS`` are literals, since they are read without an import of the file.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from trainables.corpora.corpus import SPLITS, Corpus, Unavailable
from trainables.corpora.options import CorpusOptions
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
    "asvspoof2021-la": "asvspoof2021",
    "asvspoof2021-df": "asvspoof2021",
    "asvspoof5": "asvspoof5",
    "in-the-wild": "in_the_wild",
    "mlaad": "mlaad",
    "wavefake": "wavefake",
    "manifest": "manifest",
}
_CORPORA = Registry(__name__, "corpus", ("WORDS", "ROOT", "VARIANTS", "FALLBACK", "EVAL_ONLY", "OPTIONS", "read"))
load = _CORPORA.load


def is_built(name: str) -> bool:
    """Whether a corpus is made by this project, so that it has no root. The corpus's file is not imported.

    Raises:
        DropinError: no corpus of this name.
    """
    return root_in_words(name) is None


def root_in_words(name: str) -> str | None:
    """What the user's root of a corpus is; ``None`` where it has none. The corpus's file is not imported.

    Raises:
        DropinError: no corpus of this name.
    """
    words: str | None = _CORPORA.constant(name, "ROOT")
    return words


def is_eval_only(name: str) -> bool:
    """Whether a corpus has no train split. The corpus's file is not imported.

    Raises:
        DropinError: no corpus of this name.
    """
    return bool(_CORPORA.constant(name, "EVAL_ONLY"))


def check_options(name: str, options: CorpusOptions) -> None:
    """Make sure that a corpus takes the options that are given. The corpus's file is not imported.

    Raises:
        DropinError: no corpus of this name, or an option that it does not take.
    """
    takes = _CORPORA.constant(name, "OPTIONS")
    for one in fields(CorpusOptions):
        if one.name not in takes and getattr(options, one.name) != one.default:
            option = "--" + one.name.replace("_", "-")
            raise DropinError(f"corpus {name} takes no {option}; got {getattr(options, one.name)}: leave it out")


def read(
    name: str,
    root: Path | None,
    *,
    cache: Path,
    splits: Sequence[str] = SPLITS,
    options: CorpusOptions | None = None,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read a corpus, or build it first where it is one that is made here.

    Where it cannot be built and has a fallback, that is read instead, and its ``notes`` say so in one line.

    Args:
        name: one of `NAMES`.
        root: folder of a corpus that the user has; ``None`` for one that is built.
        cache: folder for what is built.
        splits: which splits are needed; the others may be absent, and are not read where that saves time.
        options: what else is said of it.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: told how far building and checking are.

    Raises:
        DropinError: unknown name, a root missing or given where there is none, an option that it does not take.
        CorpusError: everything wrong with the corpus, all at once.
        Unavailable: it cannot be built here and has no fallback.
        DropinError: the cache is full, or cannot be written.
    """
    module = load(name)
    if module.ROOT is None and root is not None:
        raise DropinError(f"corpus {name} is built by this project and has no root; got {root}, leave it out")
    if module.ROOT is not None and root is None:
        raise DropinError(f"corpus {name} must be given with its root, {module.ROOT} (--corpus-root)")
    options = options or CorpusOptions()
    check_options(name, options)
    given: dict[str, Any] = {"cache": cache, "splits": splits, "skip_bad_files": skip_bad_files, "progress": progress}
    own = {option: getattr(options, option) for option in module.OPTIONS}
    variant = {"variant": module.VARIANTS[name]} if name in module.VARIANTS else {}
    try:
        with into_cache(cache) if module.ROOT is None else nullcontext(), _no_collections():
            corpus: Corpus = module.read(root, **given, **own, **variant)
        return corpus
    except Unavailable as error:
        if module.FALLBACK is None:
            raise
        other, instead = module.FALLBACK, read(module.FALLBACK, root, **given)
        note = f"corpus {name} cannot be built here ({error}); going on with {other}, which is {load(other).WORDS}"
        return replace(instead, notes=(note, *instead.notes))


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without the collector of cycles, of which there are none: over millions of new objects it takes half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
