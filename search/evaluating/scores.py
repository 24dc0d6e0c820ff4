"""Scores of the utterances of a split by several detectors, file after file: nothing but the scores is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.scoring.scorer import Scorer
from search.scoring.together import score_together
from trainables.corpora.corpus import BONA_FIDE, SPOOF, Corpus, CorpusError, Utterance
from trainables.corpora.reading.listing import MAX_SKIPPED
from trainables.errors import DropinError
from trainables.progress import Progress, silent

CLASSES: Mapping[str, int] = {"bonafide": BONA_FIDE, "spoof": SPOOF}
PROGRESS_EVERY = 20


@dataclass(frozen=True)
class SplitScores:
    """What detectors say of the utterances of a split.

    Attributes:
        utterances: those of the split, without those whose file cannot be read.
        labels: ``[n]``, 1 for bona fide and 0 for spoof.
        scores: ``[detectors, n]``, higher for bona fide; NaN where a recording has no score, as without a signal.
        unreadable: a line for each utterance that was left out, since its file cannot be read.
        without_score: a line for each utterance that has no score by some detector.
        notes: what was unusual about files that have a score, a line each.
    """

    utterances: Sequence[Utterance]
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    unreadable: tuple[str, ...] = ()
    without_score: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def missing(self, detector: int) -> dict[str, int]:
        """How many utterances of each class have no score by a detector."""
        none = np.isnan(self.scores[detector])
        return {name: int(np.sum(none & (self.labels == label))) for name, label in CLASSES.items()}


def score_split(
    corpus: Corpus,
    split: str,
    scorers: Sequence[Scorer],
    *,
    workers: int | None = None,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> SplitScores:
    """Score every utterance of a split.

    Args:
        corpus: has the split.
        split: ``train``, ``dev`` or ``eval``.
        scorers: the detectors.
        workers: processes that decode; ``None`` for as many as are worth it.
        skip_bad_files: go on without up to 1 % of the utterances whose files cannot be read.
        progress: told how many files have been scored.

    Raises:
        DropinError: a class is missing in the split.
        CorpusError: files that cannot be read, all at once.
    """
    utterances = corpus.splits[split]
    labels = np.fromiter((one.label for one in utterances), np.int64, len(utterances))
    check_classes(labels, f"{split} of corpus {corpus.name}")
    scores = np.full((len(scorers), len(utterances)), np.nan)
    failed: dict[int, str] = {}
    bad: set[int] = set()
    notes: list[str] = []
    task = f"scoring {split}"
    progress(task, 0, len(utterances))
    for place, found in enumerate(score_together(scorers, [one.path for one in utterances], workers=workers)):
        for number, one in enumerate(found):
            if one.score is not None:
                scores[number, place] = one.score
                continue
            failed.setdefault(place, str(one.error))
            if not one.windows:  # else it was read, and no window of it has a signal
                bad.add(place)
        notes += [f"{one.file}: {note}" for note in found[0].notes]
        if (done := place + 1) % PROGRESS_EVERY == 0 or done == len(utterances):
            progress(task, done, len(utterances))
    _check_unreadable(corpus, [failed[place] for place in sorted(bad)], len(utterances), skip_bad_files)
    kept = np.array([place for place in range(len(utterances)) if place not in bad])
    result = SplitScores(
        utterances if not bad else [utterances[place] for place in kept],
        labels[kept],
        scores[:, kept],
        tuple(failed[place] for place in sorted(bad)),
        tuple(error for place, error in sorted(failed.items()) if place not in bad),
        tuple(notes),
    )
    for row in result.scores:
        check_classes(result.labels[~np.isnan(row)], f"{split} of corpus {corpus.name}, of what has a score,")
    return result


def check_classes(labels: npt.NDArray[np.int64], of: str) -> None:
    """Make sure that both classes are there.

    Raises:
        DropinError: one is missing.
    """
    counts = {name: int(np.sum(labels == label)) for name, label in CLASSES.items()}
    if not all(counts.values()):
        raise DropinError(
            f"an evaluation needs bona fide utterances and spoofs; {of} has {counts['bonafide']} and "
            f"{counts['spoof']}: choose another split or corpus"
        )


def _check_unreadable(corpus: Corpus, faults: Sequence[str], files: int, skip_bad_files: bool) -> None:
    if not faults:
        return
    if not skip_bad_files:
        raise CorpusError(
            f"audio files of corpus {corpus.name} cannot be read; repair them, or leave up to 1 % out by "
            "--skip-bad-files",
            faults,
        )
    if len(faults) + len(corpus.skipped) > MAX_SKIPPED * (files + len(corpus.skipped)):
        raise CorpusError(
            f"{len(faults)} of {files} audio files of corpus {corpus.name} cannot be read, more than "
            f"{MAX_SKIPPED:.0%}; repair them",
            faults,
        )
