"""The options that say which corpus is read, and how; commands that read one share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from search.settings import values
from search.settings.declaration import check_values, declared
from search.settings.together import check_corpus
from search.settings.values import Kind, one_of, whole
from trainables import corpora
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.options import SPLIT_SHARES, CorpusOptions
from trainables.progress import Progress, silent

CORPUS = "corpus"
"""Group of options, as ``--help`` shows it."""
SUBSETS = ("eval", "progress", "hidden", "all")
SUBSET = Kind(f"one of {', '.join(SUBSETS)}", lambda value: value in ("", *SUBSETS), names=lambda: SUBSETS)
"""A subset; the empty text, which is the default, is what a corpus takes without one."""


@dataclass(frozen=True)
class CorpusSettings:
    """A corpus and its options; each has the name of its command-line option with underscores."""

    corpus: str = declared("demo", one_of(lambda: corpora.NAMES), CORPUS, "speech corpus to train and score on")
    corpus_root: Path | None = declared(
        None,
        values.PATH,
        CORPUS,
        "folder of a corpus that is not built here; the file of a manifest",
        metavar="PATH",
        resumable=True,
    )
    skip_bad_files: bool = declared(False, values.FLAG, CORPUS, "go on without up to 1 % of unreadable files")
    subset: str = declared(
        "",
        SUBSET,
        CORPUS,
        "part of ASVspoof 2021's evaluation set",
        default_text="eval, which its organisers report",
    )
    bonafide_root: Path | None = declared(
        None, values.PATH, CORPUS, "folder of bona fide speech, for a corpus of spoofs", metavar="DIR", resumable=True
    )
    split_shares: tuple[float, float, float] = declared(
        lambda: SPLIT_SHARES,
        values.SHARES,
        CORPUS,
        "shares of train, dev and eval where a manifest has no splits",
        metavar="T,D,E",
        default_text=",".join(map(str, SPLIT_SHARES)),
    )
    split_seed: int = declared(0, whole(0), CORPUS, "seed of the draw of these splits", metavar="N")
    follow_links: bool = declared(
        False, values.FLAG, CORPUS, "read what symbolic links in the corpus lead to outside of it", resumable=True
    )

    def __post_init__(self) -> None:
        """Check every value and what goes together.

        Raises:
            DropinError: a value breaks its option's rule, or two of them do not go together.
        """
        check_values(self)
        check_corpus(self.corpus, self.corpus_root, self.corpus_options)

    @property
    def corpus_options(self) -> CorpusOptions:
        """What is said of the corpus besides its root."""
        return CorpusOptions(**{one.name: getattr(self, one.name) for one in fields(CorpusOptions)})

    def read_corpus(self, cache: Path, *, splits: Sequence[str] = SPLITS, progress: Progress = silent) -> Corpus:
        """Read the corpus; see `trainables.corpora.read`."""
        return corpora.read(
            self.corpus,
            self.corpus_root,
            cache=cache,
            splits=splits,
            options=self.corpus_options,
            skip_bad_files=self.skip_bad_files,
            progress=progress,
        )
