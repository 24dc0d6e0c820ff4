"""What became of a recording: its score, those of its windows, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class WindowScore(NamedTuple):
    """The score of a part of a recording.

    Attributes:
        start: its begin in seconds.
        end: its end in seconds.
        score: as `Scored.score`; NaN for a window without a signal.
    """

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Scored:
    """What became of a file.

    Attributes:
        file: as it was named.
        score: log-odds of bona fide speech, a log-likelihood ratio if the detector is calibrated; ``None`` where there
            is an error.
        error: why there is no score.
        windows: the scores of its windows, in order of time.
        notes: what is to be told about the file, such as that its header disagrees with it.
    """

    file: str
    score: float | None
    error: str | None = None
    windows: tuple[WindowScore, ...] = ()
    notes: tuple[str, ...] = ()
