"""A recording as features of its windows, decoded once for all detectors, in pieces of bounded size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.scoring.speech import FRAME, only_speech, positions, speech_frames
from search.scoring.windowing import Window, Windowing
from trainables.audio.reading import AudioStream, read_with_notes
from trainables.audio.resampling import SAMPLE_RATE
from trainables.errors import DropinError
from trainables.features.windows import Extraction

PIECE_WINDOWS = 32
GLANCE = 1024
"""Samples at the beginning of a window."""
NO_SIGNAL = 2.0**-14
"""Two steps of 16 bits: what varies by no more than that is silence, dithered or not, or a constant."""


@dataclass(frozen=True)
class Source:
    """A file to score.

    Attributes:
        name: as the user named it.
        path: where it is read: elsewhere, if it was a pipe.
        fault: why it cannot be scored, if that is known already.
        size: in bytes, 0 if it is not known.
    """

    name: str
    path: Path
    fault: str | None = None
    size: int = 0

    def told(self, error: Exception) -> str:
        """An error about the file under the name that the user knows."""
        return str(error).replace(str(self.path), self.name)


@dataclass(frozen=True)
class WindowSpec:
    """What detectors that share it are fed: a front end, the length of a window in samples, and the windows."""

    front_end: str
    samples: int
    windowing: Windowing

    @property
    def extraction(self) -> Extraction:
        """The features of a window."""
        return Extraction(self.front_end, self.samples, self.samples)


@dataclass(frozen=True)
class Piece:
    """Windows of a recording, in their order.

    Attributes:
        spec: number of the spec that they belong to.
        spans: begin and end of each in seconds.
        signal: for each whether it has a signal.
        rows: features of those that have one, ``[windows, *shape]``.
    """

    spec: int
    spans: Sequence[tuple[float, float]]
    signal: Sequence[bool]
    rows: np.ndarray


class WindowExtractor:
    """Makes pieces of files. It has no network, so that any process can do it."""

    def __init__(self, specs: Sequence[WindowSpec]) -> None:
        """Extract these windows."""
        self.specs = tuple(specs)
        numbered = sorted(enumerate(self.specs), key=lambda one: _way(one[1]))
        self._groups = {way: list(some) for way, some in itertools.groupby(numbered, lambda one: _way(one[1]))}

    def prepare(self) -> None:
        """Do the imports and precomputations of the first file."""
        for spec in self.specs:
            spec.extraction.prepare()

    def pieces(self, source: Source, notes: list[str]) -> Iterator[Piece]:
        """The windows of a file for every spec; adds what is to be told about the file to `notes`.

        The file is decoded once for all specs that take its first window, and once for all that take all windows.

        Raises:
            DropinError: the file cannot be read, or features are not finite.
        """
        if source.fault is not None:
            raise DropinError(source.fault)
        for (first, speech_only), group in self._groups.items():
            if first and not speech_only:
                # As a whole: resampled in one go, as it is for training.
                audio, found = read_with_notes(source.path)
                yield from _cut(group, [audio], source.name)
            else:
                speech = speech_frames(AudioStream(source.path).blocks()) if speech_only else None
                stream = AudioStream(source.path)
                yield from _cut(group, stream.blocks(), source.name, speech)
                found = stream.notes
            notes += [one for one in found if one not in notes]

    def of_waveform(self, audio: np.ndarray, name: str) -> Iterator[Piece]:
        """The windows of a waveform, float32 ``[samples]`` at 16 kHz.

        Raises:
            DropinError: features are not finite.
        """
        for (_, speech_only), group in self._groups.items():
            yield from _cut(group, [audio], name, speech_frames([audio]) if speech_only else None)


def _way(spec: WindowSpec) -> tuple[bool, bool]:
    """How a file is decoded for a spec: whether only its first window counts, and whether only speech does."""
    return spec.windowing.windows == "first", spec.windowing.speech_only


def _cut(
    group: Sequence[tuple[int, WindowSpec]], blocks: Iterable[np.ndarray], name: str, speech: np.ndarray | None = None
) -> Iterator[Piece]:
    """The pieces of a waveform that comes in blocks."""
    windowers = [one.windowing.windower(one.samples) for _, one in group]
    places = None if speech is None else positions(speech)
    for block in blocks if speech is None else only_speech(blocks, speech):
        for (number, spec), windower in zip(group, windowers, strict=True):
            windows = windower.push(block)
            while some := list(itertools.islice(windows, PIECE_WINDOWS)):
                yield _piece(number, spec, name, some, places)
    for (number, spec), windower in zip(group, windowers, strict=True):
        yield _piece(number, spec, name, [windower.finish()], places)


def _piece(number: int, spec: WindowSpec, name: str, windows: Sequence[Window], places: np.ndarray | None) -> Piece:
    signal = [_has_signal(samples) for _, _, samples in windows]
    extraction = spec.extraction
    rows = [
        extraction.rows(samples, spec.samples, name)
        for (_, _, samples), there in zip(windows, signal, strict=True)
        if there
    ]
    spans = [
        (_place(begin, places) / SAMPLE_RATE, (_place(end - 1, places) + 1) / SAMPLE_RATE) for begin, end, _ in windows
    ]
    return Piece(number, spans, signal, _together(rows, extraction))


def _together(rows: Sequence[np.ndarray], extraction: Extraction) -> np.ndarray:
    if len(rows) == 1:
        return rows[0]
    return np.concatenate(rows) if rows else np.zeros((0, *extraction.shape), extraction.dtype)


def _has_signal(samples: np.ndarray) -> bool:
    """Whether a window varies by more than silence does."""
    # Nearly every window does so in a few of its samples, and then there is no need to look at all.
    return any(bool(some.max() - some.min() > NO_SIGNAL) for some in (samples[:GLANCE], samples))


def _place(sample: int, places: np.ndarray | None) -> int:
    """Where in the recording a sample lies; `places` says where its frames do if only speech counts."""
    return sample if places is None else int(places[sample // FRAME]) + sample % FRAME
