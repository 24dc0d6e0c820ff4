"""A detector as an object: it scores files and waveforms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt
from torch import nn

from search.runs.members import Member
from search.scoring.scorer import Scored, Scorer, read_detector
from search.settings import values
from trainables.storage import checkpoint


class Detector:
    """A trained detector (countermeasure), ready to score.

    Attributes:
        card: what is known about it: front end, EER, threshold, corpus, plan, seed; JSON types.
        size: number of parameters.
        threshold: speech is taken for bona fide where the score is at least this: for an exported detector that of a
            log-likelihood ratio, else that of the EER on dev.
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

    def score(self, files: Sequence[str | PathLike[str]]) -> list[Scored]:
        """Score audio files of any format and rate that libsndfile decodes.

        Of each file the first seconds count that the detector was trained on; a shorter one is repeated.

        Args:
            files: paths.

        Returns:
            For each file, in order, its score (log-likelihood ratio of bona fide speech if the detector is calibrated,
            as exported ones are, else log-odds), or the error that says why it has none.

        >>> [one] = detector.score([recording])
        >>> one.error is None, detector.verdict(one.score) in ("bona fide", "spoof")
        (True, True)
        """
        return list(self.iter_scores(files))

    def iter_scores(self, files: Sequence[str | PathLike[str]]) -> Iterator[Scored]:
        """What `score` gives, as it comes."""
        return self._scorer.score_files([str(file) for file in files])

    def score_array(self, waveform: npt.ArrayLike, sample_rate: int) -> float:
        """Score one waveform.

        Args:
            waveform: ``[samples]`` or ``[samples, channels]``, full scale at -1 and 1; channels are averaged.
            sample_rate: in Hz, 1,000 to 384,000; other rates than 16,000 are resampled.

        Returns:
            Log-likelihood ratio of bona fide speech if the detector is calibrated, else log-odds.

        Raises:
            DropinError: no samples, other dimensions, NaN or infinity, or an unusable sample rate.

        >>> import numpy as np
        >>> noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 44_100)
        >>> bool(np.isfinite(detector.score_array(noise, 44_100)))
        True
        """
        return self._scorer.score_array(waveform, sample_rate)

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
