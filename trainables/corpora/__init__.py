"""Where audio comes from: corpora by name, each read by one module of this folder."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from types import ModuleType

from trainables.corpora.corpus import Corpus
from trainables.errors import DropinError
from trainables.progress import Progress, silent

_MODULES: dict[str, tuple[str, dict[str, str]]] = {
    "demo": ("demo", {}),
    "asvspoof2019-la": ("asvspoof2019", {"variant": "LA"}),
    "asvspoof2019-pa": ("asvspoof2019", {"variant": "PA"}),
    "fake-or-real": ("fake_or_real", {"variant": "norm"}),
    "fake-or-real-original": ("fake_or_real", {"variant": "original"}),
    "fake-or-real-norm": ("fake_or_real", {"variant": "norm"}),
    "fake-or-real-2sec": ("fake_or_real", {"variant": "2sec"}),
    "fake-or-real-rerec": ("fake_or_real", {"variant": "rerec"}),
    "synthetic": ("synthetic", {}),
}
NAMES = tuple(_MODULES)
BUILT = ("demo", "synthetic")
"""Corpora that are made in the cache; every other one is read from a root that the user has."""


def load(name: str) -> ModuleType:
    """The module that reads a corpus.

    Raises:
        DropinError: no corpus of this name.
    """
    if name not in _MODULES:
        raise DropinError(f"corpus must be one of {', '.join(NAMES)}; got {name!r}")
    return importlib.import_module(f"trainables.corpora.{_MODULES[name][0]}")


def read(
    name: str,
    root: Path | None,
    *,
    cache: Path,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read a corpus, or build it first where it is one that is made here.

    Where ``demo`` cannot be built, a warning of one line says so and ``synthetic`` is read instead.

    Args:
        name: one of `NAMES`.
        root: folder of a corpus that the user has; ``None`` for `BUILT`.
        cache: folder for what is built.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: told how far building and checking are.

    Raises:
        DropinError: unknown name, a root missing or given where there is none.
        CorpusError: everything wrong with the corpus, all at once.
    """
    module = load(name)
    if name in BUILT and root is not None:
        raise DropinError(f"corpus {name} is built by this project and has no root; got {root}, leave it out")
    if name not in BUILT and root is None:
        raise DropinError(f"corpus {name} must be given with its root; say where it lies (--corpus-root)")
    options = {"cache": cache, "skip_bad_files": skip_bad_files, "progress": progress, **_MODULES[name][1]}
    if name != "demo":
        corpus: Corpus = module.read(root, **options)
        return corpus
    try:
        corpus = module.read(root, **options)
    except module.Unavailable as error:
        warnings.warn(
            f"corpus demo cannot be built here ({error}); going on with synthetic, which is simulated speech",
            stacklevel=2,
        )
        corpus = load("synthetic").read(root, **options)
    return corpus
