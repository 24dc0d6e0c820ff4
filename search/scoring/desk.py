"""Scores of files by several detectors: windows of different files share batches, each file is heard once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from search.scoring.listening import Listener, Piece, Source
from search.scoring.scored import Scored, WindowScore
from search.scoring.scorer import Scorer
from trainables.corpora.resampling import SAMPLE_RATE


@dataclass
class _File:
    """A file under way: per hearing its windows, per scorer their scores (NaN until there is one)."""

    name: str
    spans: list[list[tuple[float, float]]]
    signal: list[list[bool]]
    scores: list[list[float]]
    error: str | None = None
    notes: list[str] = field(default_factory=list)


class Desk:
    """Scores pieces of files. Files are numbered by the caller; their results are there after `flush`.

    Attributes:
        listener: makes the pieces.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        """Score by these, of which those with the same hearing share features."""
        self.scorers = tuple(scorers)
        hearings = list(dict.fromkeys(one.hearing for one in self.scorers))
        self.listener = Listener(hearings)
        self._hears = [hearings.index(one.hearing) for one in self.scorers]
        self._files: dict[int, _File] = {}
        self._waiting: list[list[tuple[int, list[int], np.ndarray]]] = [[] for _ in hearings]
        self._threads = torch.get_num_threads()

    def score(self, sources: Sequence[Source]) -> list[list[Scored]]:
        """Listen to files and score them: for each a result per scorer."""
        with _threads(1):
            for number, source in enumerate(sources):
                self.begin(number, source.name)
                notes: list[str] = []
                self._listen(number, source, notes)
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
            self._take_all(0, self.listener.of_waveform(audio, name))
            self.flush()
        return self.result(0)

    def begin(self, number: int, name: str) -> None:
        """A file is to come, or has begun to."""
        if number in self._files:
            return
        hearings = len(self.listener.hearings)
        empty: tuple[list[list[tuple[float, float]]], list[list[bool]]] = (
            [[] for _ in range(hearings)],
            [[] for _ in range(hearings)],
        )
        self._files[number] = _File(name, *empty, [[] for _ in self.scorers])

    def take(self, number: int, piece: Piece) -> None:
        """A piece of a file; a full batch is scored."""
        file = self._files[number]
        before = len(file.spans[piece.hearing])
        file.spans[piece.hearing] += piece.spans
        file.signal[piece.hearing] += piece.signal
        for scores, hears in zip(file.scores, self._hears, strict=True):
            if hears == piece.hearing:
                scores += [float("nan")] * len(piece.spans)
        if len(piece.rows):
            places = [before + place for place, there in enumerate(piece.signal) if there]
            waiting = self._waiting[piece.hearing]
            waiting.append((number, places, piece.rows))
            if sum(len(rows) for _, _, rows in waiting) >= self._batch(piece.hearing):
                self._score_waiting(piece.hearing)

    def end(self, number: int, error: str | None, notes: Iterable[str]) -> None:
        """A file is over: nothing more comes of it."""
        self._files[number].error = error
        self._files[number].notes = list(notes)

    def flush(self) -> None:
        """Score what waits for a full batch."""
        for hearing in range(len(self._waiting)):
            self._score_waiting(hearing)

    def result(self, number: int) -> list[Scored]:
        """What became of a file, by every scorer; it is forgotten here."""
        file = self._files.pop(number)
        return [self._scored(file, which) for which in range(len(self.scorers))]

    def _listen(self, number: int, source: Source, notes: list[str]) -> None:
        try:
            self._take_all(number, self.listener.pieces(source, notes))
        except ValueError as error:
            self._files[number].error = source.told(error)

    def _take_all(self, number: int, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self.take(number, piece)

    def _batch(self, hearing: int) -> int:
        return max(
            one.detector.module.scoring_batch
            for one, hears in zip(self.scorers, self._hears, strict=True)
            if hears == hearing
        )

    def _score_waiting(self, hearing: int) -> None:
        waiting, self._waiting[hearing] = self._waiting[hearing], []
        if not waiting:
            return
        rows = np.concatenate([some for _, _, some in waiting])
        for which, (scorer, hears) in enumerate(zip(self.scorers, self._hears, strict=True)):
            if hears != hearing:
                continue
            with _threads(self._threads):
                found = iter(scorer.log_odds(rows).tolist())
            for number, places, _ in waiting:
                for place in places:
                    self._files[number].scores[which][place] = next(found)

    def _scored(self, file: _File, which: int) -> Scored:
        scorer, hears = self.scorers[which], self._hears[which]
        notes = tuple(file.notes)
        if file.error is not None:
            return Scored(file.name, None, file.error, notes=notes)
        windows = tuple(
            WindowScore(*span, score) for span, score in zip(file.spans[hears], file.scores[which], strict=True)
        )
        heard = [one.score for one, there in zip(windows, file.signal[hears], strict=True) if there]
        error = None
        if not heard:
            error = _without_signal(file.name, scorer)
        elif not np.isfinite(heard).all():
            error = f"{file.name}: its score is not finite; the detector cannot be used for it"
        return Scored(file.name, None if error else scorer.windowing.pooled(heard), error, windows, notes)


def _without_signal(name: str, scorer: Scorer) -> str:
    what = "no signal (silence, or a constant): there is nothing to judge"
    if scorer.windowing.windows == "all":
        return f"{name} has {what}"
    seconds = scorer.hearing.samples / SAMPLE_RATE
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
