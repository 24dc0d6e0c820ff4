"""Which values of options go together."""

from __future__ import annotations

from pathlib import Path

from trainables import corpora
from trainables.corpora.options import CorpusOptions
from trainables.errors import DropinError

MAX_SEED = 2**53 - 1
"""Any JSON keeps it, and multiples of it by 1009, which new neurons are drawn with, are below torch's limit of 2^64."""


def check_corpus(corpus: str, root: Path | None, options: CorpusOptions) -> None:
    """Make sure that a corpus has a root exactly where it is not built by this project, and takes its options.

    Raises:
        DropinError: a root that is missing, or that there is none for, or an option that the corpus does not take.
    """
    built = corpora.is_built(corpus)
    if built and root is not None:
        raise DropinError(
            f"--corpus {corpus} is built by this project and has no root; got {root}: leave --corpus-root out"
        )
    if not built and root is None:
        raise DropinError(
            f"--corpus {corpus} must be told where it lies: add --corpus-root PATH, {corpora.root_in_words(corpus)}"
        )
    corpora.check_options(corpus, options)


def check_trainable(corpus: str) -> None:
    """Make sure that detectors can be trained on a corpus.

    Raises:
        DropinError: it has no train split.
    """
    if corpora.is_eval_only(corpus):
        raise DropinError(
            f"--corpus {corpus} has an eval split only: search on another corpus and evaluate the detectors on this "
            f"one (python -m search.evaluate DETECTOR --corpus {corpus} --corpus-root ROOT), or list its files, with a "
            "train and a dev split, in a manifest (--corpus manifest)"
        )


def check_confirmation(seed: int, confirm: int, controls: bool) -> None:
    """Make sure that a confirmation has seeds.

    Raises:
        DropinError: there are not so many after the run's own, or controls without any.
    """
    if seed + confirm > MAX_SEED:
        raise DropinError(
            f"--confirm takes the seeds after --seed, up to {MAX_SEED}; got {confirm} after {seed}: choose a smaller "
            "--seed"
        )
    if controls and not confirm:
        raise DropinError("--controls are trained with the seeds of --confirm; it is not given: add --confirm 3")
