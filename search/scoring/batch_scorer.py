"""Scores of files by several detectors: windows of different files share batches, each file is decoded once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from search.scoring.scored import Scored, WindowScore
from search.scoring.scorer import Scorer
from search.scoring.window_extraction import Piece, Source, WindowExtractor
from trainables.audio.resampling import SAMPLE_RATE


@dataclass
class _File:
    """A file under way: per spec its windows, per scorer their scores (NaN until there is one)."""

    name: str
    spans: list[list[tuple[float, float]]]
    signal: list[list[bool]]
    scores: list[list[float]]
    error: str | None = None
    notes: list[str] = field(default_factory=list)


class BatchScorer:
    """Scores pieces of files. Files are numbered by the caller; their results are there after `flush`.

    Attributes:
        extractor: makes the pieces.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        """Score by these, of which those with the same spec share features."""
        self.scorers = tuple(scorers)
        specs = list(dict.fromkeys(one.spec for one in self.scorers))
        self.extractor = WindowExtractor(specs)
        self._spec_of = [specs.index(one.spec) for one in self.scorers]
        self._files: dict[int, _File] = {}
        self._waiting: list[list[tuple[int, list[int], np.ndarray]]] = [[] for _ in specs]
        self._threads = torch.get_num_threads()

    def score(self, sources: Sequence[Source]) -> list[list[Scored]]:
        """Read files and score them: for each a result per scorer."""
        with _threads(1):
            for number, source in enumerate(sources):
                self.begin(number, source.name)
                notes: list[str] = []
                self._extract(number, source, notes)
                self._files[number].notes = notes
            self.flush()
        return [self.result(number) for number in range(len(sources))]

    def score_waveform(self, audio: np.ndarray, name: str) -> list[Scored]:
        """Score a waveform, float32 ``[samples]`` at 16 kHz.

        Raises:
            DropinError: its features are not finite.
        """
        self.begin(0, name)
        with _threads(1):
            self._take_all(0, self.extractor.of_waveform(audio, name))
            self.flush()
        return self.result(0)

    def begin(self, number: int, name: str) -> None:
        """A file is to come, or has begun to."""
        if number in self._files:
            return
        specs = len(self.extractor.specs)
        empty: tuple[list[list[tuple[float, float]]], list[list[bool]]] = (
            [[] for _ in range(specs)],
            [[] for _ in range(specs)],
        )
        self._files[number] = _File(name, *empty, [[] for _ in self.scorers])

    def take(self, number: int, piece: Piece) -> None:
        """A piece of a file; a full batch is scored."""
        file = self._files[number]
        before = len(file.spans[piece.spec])
        file.spans[piece.spec] += piece.spans
        file.signal[piece.spec] += piece.signal
        for scores, its_spec in zip(file.scores, self._spec_of, strict=True):
            if its_spec == piece.spec:
                scores += [float("nan")] * len(piece.spans)
        if len(piece.rows):
            places = [before + place for place, there in enumerate(piece.signal) if there]
            waiting = self._waiting[piece.spec]
            waiting.append((number, places, piece.rows))
            if sum(len(rows) for _, _, rows in waiting) >= self._batch(piece.spec):
                self._score_waiting(piece.spec)

    def end(self, number: int, error: str | None, notes: Iterable[str]) -> None:
        """A file is over: nothing more comes of it."""
        self._files[number].error = error
        self._files[number].notes = list(notes)

    def flush(self) -> None:
        """Score what waits for a full batch."""
        for spec in range(len(self._waiting)):
            self._score_waiting(spec)

    def result(self, number: int) -> list[Scored]:
        """What became of a file, by every scorer; it is forgotten here."""
        file = self._files.pop(number)
        return [self._scored(file, which) for which in range(len(self.scorers))]

    def _extract(self, number: int, source: Source, notes: list[str]) -> None:
        try:
            self._take_all(number, self.extractor.pieces(source, notes))
        except ValueError as error:
            self._files[number].error = source.told(error)

    def _take_all(self, number: int, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self.take(number, piece)

    def _batch(self, spec: int) -> int:
        return max(
            one.detector.module.scoring_batch
            for one, its_spec in zip(self.scorers, self._spec_of, strict=True)
            if its_spec == spec
        )

    def _score_waiting(self, spec: int) -> None:
        waiting, self._waiting[spec] = self._waiting[spec], []
        if not waiting:
            return
        rows = np.concatenate([some for _, _, some in waiting])
        for which, (scorer, its_spec) in enumerate(zip(self.scorers, self._spec_of, strict=True)):
            if its_spec != spec:
                continue
            with _threads(self._threads):
                found = iter(scorer.log_odds(rows).tolist())
            for number, places, _ in waiting:
                for place in places:
                    self._files[number].scores[which][place] = next(found)

    def _scored(self, file: _File, which: int) -> Scored:
        scorer, its_spec = self.scorers[which], self._spec_of[which]
        notes = tuple(file.notes)
        if file.error is not None:
            return Scored(file.name, None, file.error, notes=notes)
        windows = tuple(
            WindowScore(*span, score) for span, score in zip(file.spans[its_spec], file.scores[which], strict=True)
        )
        scores = [one.score for one, there in zip(windows, file.signal[its_spec], strict=True) if there]
        error = None
        if not scores:
            error = _without_signal(file.name, scorer)
        elif not np.isfinite(scores).all():
            error = f"{file.name}: its score is not finite; the detector cannot be used for it"
        return Scored(file.name, None if error else scorer.windowing.pooled(scores), error, windows, notes)


def _without_signal(name: str, scorer: Scorer) -> str:
    what = "no signal (silence, or a constant): there is nothing to judge"
    if scorer.windowing.windows == "all":
        return f"{name} has {what}"
    seconds = scorer.spec.samples / SAMPLE_RATE
    return f"{name}: its first {seconds:g} s have {what}; score all of it, with windows=all"


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Within it torch has so many threads: one for features, which are small work, all for networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
