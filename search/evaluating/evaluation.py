"""An evaluation from its beginning: the corpus is read, scored by every detector, and broken down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.display.progress import Display
from search.evaluating import score_files
from search.evaluating.conditions import read_conditions
from search.evaluating.detectors import GivenDetector, short_names
from search.evaluating.measures import measure, measure_by
from search.evaluating.result import EvaluationResult
from search.evaluating.scores import SplitScores, score_split
from search.reporting.evaluations import CorpusEvaluation, EvaluatedCorpus, EvaluatedDetector
from search.settings.corpus_options import SUBSETS, CorpusSettings
from trainables import corpora
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.errors import DropinError
from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.tdcf import read_usable_asv_scores


@dataclass(frozen=True)
class Request:
    """What is evaluated, and how.

    Attributes:
        settings: which corpus is read.
        split: ``train``, ``dev`` or ``eval``.
        by: names of conditions that errors are broken down by.
        cache: folder of caches, for a corpus that is built and for what is known of files.
        workers: processes that decode; ``None`` for as many as are worth it.
        scores: form of score files that will be written, so that names are checked first; ``None`` for none.
    """

    settings: CorpusSettings
    split: str
    by: tuple[str, ...]
    cache: Path
    workers: int | None = None
    scores: str | None = None

    def __post_init__(self) -> None:
        """Check the split.

        Raises:
            DropinError: there is none of this name.
        """
        if self.split not in SPLITS:
            raise DropinError(f"split must be one of {', '.join(SPLITS)}; got {self.split!r}")


def evaluate(detectors: Sequence[GivenDetector], request: Request, display: Display) -> EvaluationResult:
    """Score the split by all detectors, and compute their errors. Nothing is chosen by them.

    Args:
        detectors: at least one; they score the same windows.
        request: what is evaluated, and how.
        display: told how far it is.

    Raises:
        DropinError: an option that the corpus does not take, a condition that it does not have, a class is missing, ASV
            scores that cannot be read.
        CorpusError: everything wrong with the corpus.
    """
    settings, split = request.settings, request.split
    corpus = settings.read_corpus(request.cache, splits=(split,), progress=display.progress)
    for note in corpus.notes:
        display.message(note)
    display.status("corpus", f"{corpus.name}, {split}{f', {corpus.note}' if corpus.note else ''}")
    read_conditions(corpus.splits[split], request.by)  # what cannot be broken down is told before hours of scoring
    if request.scores is not None:
        score_files.check_names(corpus.splits[split], request.scores)
    subset, asv = _subset(settings), None
    if split in corpus.asv_scores:
        asv = read_usable_asv_scores(corpus.asv_scores[split], subset=subset or SUBSETS[0])
    found = score_split(
        corpus,
        split,
        [one.scorer for one in detectors],
        workers=request.workers,
        skip_bad_files=settings.skip_bad_files,
        progress=display.progress,
    )
    rule = detectors[0].scorer.windowing
    evaluation = CorpusEvaluation(
        EvaluatedCorpus(corpus.name, corpus.digest(), corpus.note, split, subset),
        rule.windows,
        _evaluated(detectors, found, request.by, asv, display),
    )
    facts = [
        {"calibrated": one.calibrated, "trained_on": one.trained_on, "without_score": found.missing(number)}
        for number, one in enumerate(detectors)
    ]
    return EvaluationResult(
        evaluation, found, tuple(facts), asdict(rule), tuple(_notes(detectors, corpus, split, found))
    )


def _evaluated(
    detectors: Sequence[GivenDetector],
    found: SplitScores,
    by: Sequence[str],
    asv: AsvScores | None,
    display: Display,
) -> tuple[EvaluatedDetector, ...]:
    conditions = read_conditions(found.utterances, by)
    evaluated = []
    for number, one in enumerate(detectors):
        display.progress("computing errors", number, len(detectors))
        scores = found.scores[number]
        evaluated.append(
            EvaluatedDetector(
                one.name,
                one.sha256,
                one.size,
                one.run,
                one.trial,
                one.threshold,
                measure(scores, found.labels, one.threshold, asv),
                measure_by(scores, found.labels, one.threshold, conditions),
            )
        )
    display.progress("computing errors", len(detectors), len(detectors))
    return tuple(evaluated)


def _subset(settings: CorpusSettings) -> str | None:
    """The part of an evaluation set that was read; ``None`` where the corpus has no parts."""
    if "subset" not in corpora.load(settings.corpus).OPTIONS:
        return None
    return settings.subset or SUBSETS[0]


def _notes(detectors: Sequence[GivenDetector], corpus: Corpus, split: str, found: SplitScores) -> list[str]:
    """What a reader of the numbers has to know."""
    names = short_names([one.name for one in detectors])

    def those(fits: Callable[[GivenDetector], Any]) -> str:
        return ", ".join(name for name, one in zip(names, detectors, strict=True) if fits(one))

    notes = []
    if split != "eval" and (own := those(lambda one: one.trained_on == corpus.name)):
        use = "they were trained on it" if split == "train" else "weights and thresholds were chosen on it"
        # All manifests have one name.
        sure = "a corpus of this name; if it is this one, " if corpus.name == "manifest" else "this corpus: "
        notes.append(f"detectors trained on {sure}its {split} split is not unseen data, since {use}: {own}")
    if raw := those(lambda one: not one.calibrated):
        notes.append(f"scores are log-odds and not calibrated, so actual DCF and Cllr say little; export anew: {raw}")
    if found.unreadable or corpus.skipped:
        left_out = [*corpus.skipped, *found.unreadable]
        notes.append(
            f"{len(left_out):,} utterances are left out, since their files cannot be read; first {left_out[0]}"
        )
    if found.without_score:
        none = np.isnan(found.scores).any(axis=0)
        counts = [f"{int(np.sum(none & (found.labels == label))):,} {words}" for label, words in _CLASSES]
        notes.append(f"without a score and not counted: {' and '.join(counts)}; first {found.without_score[0]}")
    if found.notes:
        notes.append(f"unusual files: {len(found.notes):,}; first {found.notes[0]}")
    return notes


_CLASSES = ((1, "bona fide utterances"), (0, "spoofs"))
