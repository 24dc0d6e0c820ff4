"""A detector as an object: it scores files and waveforms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt
from torch import nn

from search.runs.members import Member
from search.scoring.scored import Scored, WindowScore
from search.scoring.scorer import Scorer, read_detector
from search.scoring.together import score_files, score_waveform
from search.scoring.windowing import Windowing
from search.settings import values
from trainables.errors import DropinError
from trainables.storage import checkpoint


class Detector:
    """A trained detector (countermeasure), ready to score.

    Attributes:
        card: what is known about it: front end, EER, threshold, corpus, plan, seed; JSON types.
        size: number of parameters.
        threshold: speech is taken for bona fide where the score is at least this; set on dev.
        note: what a user has to know about the corpus that it was trained on, or nothing.
    """

    def __init__(self, loaded: checkpoint.Detector) -> None:
        """Take a detector that was read.

        Raises:
            DropinError: its card does not say how to use it.
        """
        self._loaded, self._scorer = loaded, Scorer(loaded)
        self.card: Mapping[str, Any] = loaded.card
        self.size = loaded.arch.size()
        self.threshold, self.note = self._scorer.threshold, self._scorer.note

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode: features ``[batch, ...]`` to logits ``[batch, 2]``, spoof and bona fide."""
        return self._loaded.module

    def score(
        self,
        files: Iterable[str | PathLike[str]],
        *,
        windows: str = "all",
        hop: float | None = None,
        pooling: str = "mean",
        speech_only: bool = False,
        workers: int | None = None,
    ) -> list[Scored]:
        """Score audio files of any format and rate that libsndfile decodes.

        Args:
            files: paths.
            windows: ``all`` for windows of the length that the detector was trained on over the whole recording, the
                last of which ends at its end; ``first`` for the first one only, as in the errors of its card. A
                recording shorter than a window is repeated.
            hop: seconds between the starts of two windows; ``None`` for half a window.
            pooling: ``mean`` for the mean of the windows' scores, ``max_spoof`` for the lowest of them.
            speech_only: leave out what is 30 dB and more below the loudest 20 ms of the recording.
            workers: number of processes; by default one per CPU where the files take long enough.

        Returns:
            For each file, in order, its score (log-odds of bona fide speech, a log-likelihood ratio if the detector is
            calibrated) and those of its windows, or the error that says why it has none.

        Raises:
            DropinError: an option that there is not.
            RuntimeError: a process died.

        >>> [one] = detector.score([recording])
        >>> one.error is None, detector.verdict(one.score) in ("bona fide", "spoof")
        (True, True)
        >>> [first] = detector.score([recording], windows="first")
        >>> len(first.windows)
        1
        """
        rule = Windowing(windows, hop, pooling, speech_only)
        return list(self.iter_scores(files, windowing=rule, workers=workers))

    def iter_scores(
        self,
        files: Iterable[str | PathLike[str]],
        *,
        windowing: Windowing | None = None,
        workers: int | None = None,
    ) -> Iterator[Scored]:
        """What `score` gives, as it comes; files are taken from the iterable as they are needed."""
        return score_files(self.scorer(windowing), files, workers=workers)

    def score_array(
        self,
        waveform: npt.ArrayLike,
        sample_rate: int,
        *,
        windows: str = "all",
        hop: float | None = None,
        pooling: str = "mean",
        speech_only: bool = False,
    ) -> float:
        """Score one waveform.

        Args:
            waveform: ``[samples]`` or ``[samples, channels]``, full scale at -1 and 1; channels are averaged, or one is
                taken of those that cancel each other.
            sample_rate: in Hz, 1,000 to 384,000; other rates than 16,000 are resampled.
            windows: see `score`, as for `hop`, `pooling` and `speech_only`.
            hop: see `score`.
            pooling: see `score`.
            speech_only: see `score`.

        Returns:
            Log-odds of bona fide speech, a log-likelihood ratio if the detector is calibrated.

        Raises:
            DropinError: no samples, no signal, other dimensions, NaN or infinity, an unusable sample rate, or an option
                that there is not.

        >>> import numpy as np
        >>> noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 44_100)
        >>> bool(np.isfinite(detector.score_array(noise, 44_100)))
        True
        """
        found = score_waveform(self.scorer(Windowing(windows, hop, pooling, speech_only)), waveform, sample_rate)
        assert found.score is not None, "what has no score raises"
        return found.score

    def timeline(
        self, file: str | PathLike[str], *, hop: float | None = None, speech_only: bool = False
    ) -> tuple[WindowScore, ...]:
        """The scores of a recording over time.

        Args:
            file: its path.
            hop: seconds between the starts of two windows; ``None`` for half a window.
            speech_only: see `score`.

        Returns:
            Start and end in seconds and score of every window; a window without a signal has NaN.

        Raises:
            DropinError: the file cannot be scored, or an option that there is not.

        >>> [(window.start, window.end) for window in detector.timeline(recording)]
        [(0.0, 3.125)]
        """
        (found,) = self.score([file], hop=hop, speech_only=speech_only, workers=1)
        if found.error is not None:
            raise DropinError(found.error)
        return found.windows

    def scorer(self, windowing: Windowing | None = None) -> Scorer:
        """The detector with a rule for which windows of a recording are scored; by default all."""
        return Scorer(self._loaded, windowing)

    def verdict(self, score: float) -> str:
        """``bona fide`` or ``spoof``, by the threshold."""
        return self._scorer.verdict(score)

    def __repr__(self) -> str:
        """Model, size and dev EER."""
        eer = self.card.get("eer_dev")
        return f"<Detector {self._loaded.arch.model}, {self.size:,} parameters, dev EER {eer}>"


def load_detector(source: str | PathLike[str] | Member) -> Detector:
    """Read a detector from a folder or an object store.

    It may come from anybody: nothing in it is run, and memory is taken for weights that are there only.

    Args:
        source: a folder such as ``front/detectors/0``, a URI (``s3://...``), or a member of ``run.front``.

    Raises:
        DropinError: not a detector, damaged, or the URI cannot be read.

    >>> from search import load_detector
    >>> detector = load_detector(run.front.members[0])
    >>> detector.size == run.front.members[0].size
    True
    """
    if isinstance(source, Member):
        return Detector(read_detector(source.folder))
    found = values.PATH_OR_URI.checked(source if isinstance(source, str) else Path(source))
    return Detector(read_detector(found))
