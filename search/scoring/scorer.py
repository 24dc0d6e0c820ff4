"""Audio scored by a detector, as it was trained to hear it: the first seconds of a file, short ones repeated."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trainables import features
from trainables.corpora.audio import SAMPLE_RATE, mono_16k
from trainables.errors import DropinError
from trainables.features.extraction import extract
from trainables.features.segment import samples_in
from trainables.features.waveform import standardised
from trainables.features.windows import Extraction
from trainables.metrics.calibration import Calibration
from trainables.storage import bucket_files
from trainables.storage.checkpoint import Detector, load_detector
from trainables.trial.training import select_device


@dataclass(frozen=True)
class Scored:
    """What became of a file.

    Attributes:
        file: as it was named.
        score: log-likelihood ratio of bona fide speech if the detector is calibrated, else log-odds; ``None`` where
            there is an error.
        error: why there is no score.
    """

    file: str
    score: float | None
    error: str | None = None


class Scorer:
    """A detector that scores audio files as it was trained to hear them: their first seconds, short ones repeated."""

    def __init__(self, detector: Detector) -> None:
        """Take a detector.

        Raises:
            DropinError: its card does not say how to use it, or names a front end that there is not.
        """
        card = detector.card
        try:
            self.threshold, seconds, front_end = (
                float(card["threshold"]),
                float(card["seconds"]),
                str(card["front_end"]),
            )
            self.note = str((card.get("corpus") or {}).get("note", ""))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DropinError(f"a detector's card must say threshold, seconds and front_end: {error!r}") from error
        if not math.isfinite(self.threshold):
            raise DropinError(
                f"the threshold of a detector's card must be finite; got {self.threshold}: export it anew"
            )
        self._calibration = _calibration(card)
        features.load(front_end)
        self._samples = samples_in(seconds, SAMPLE_RATE)
        self._extraction = Extraction(front_end, self._samples, self._samples)
        self._device = select_device()
        self._module = detector.module.to(self._device)

    def score_files(self, files: Sequence[str]) -> Iterator[Scored]:
        """Score files in order; one that cannot be used gets an error and the rest goes on."""
        jobs = [(Path(file), self._samples) for file in files]
        rows = zip(files, extract(jobs, self._extraction), strict=True)
        while batch := list(islice(rows, self._module.scoring_batch)):
            heard = [row for _, row in batch if not isinstance(row, str)]
            scores = iter(self._scores(np.concatenate(heard)) if heard else ())
            for file, row in batch:
                if isinstance(row, str):
                    yield Scored(
                        file, None, f"{file} is a folder: name the files in it" if os.path.isdir(file) else row
                    )
                else:
                    score = next(scores)
                    yield Scored(file, score) if np.isfinite(score) else Scored(file, None, "its score is not finite")

    def score_array(self, waveform: npt.ArrayLike, sample_rate: int) -> float:
        """Score one waveform as a file of these samples is scored.

        Args:
            waveform: ``[samples]`` or ``[samples, channels]``, full scale at -1 and 1.
            sample_rate: in Hz.

        Returns:
            Log-likelihood ratio of bona fide speech if the detector is calibrated, else log-odds.

        Raises:
            DropinError: no samples, other dimensions, a sample that is not finite, or an unusable sample rate.
        """
        audio = mono_16k(np.asarray(waveform, dtype=np.float32), sample_rate)
        (score,) = self._scores(self._extraction.rows(audio, self._samples))
        return score

    def verdict(self, score: float) -> str:
        """What the detector takes speech of this score for."""
        return "bona fide" if score >= self.threshold else "spoof"

    @torch.inference_mode()
    def _scores(self, rows: np.ndarray) -> list[float]:
        x = np.stack([standardised(row) for row in rows]) if rows.dtype == np.int16 else rows
        logits = self._module(torch.from_numpy(x).to(self._device)).double()
        found: list[float] = self._calibration.apply((logits[:, 1] - logits[:, 0]).cpu().numpy()).tolist()
        return found


def _calibration(card: Mapping[str, Any]) -> Calibration:
    """What makes a log-likelihood ratio of the log-odds; it changes nothing where a card has none."""
    found = card.get("calibration")
    if found is None:
        return Calibration(1.0, 0.0)
    try:
        return Calibration(float(found["slope"]), float(found["intercept"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DropinError(
            f"the calibration of a detector's card must have slope and intercept: {error!r}: export it anew"
        ) from error


def read_detector(source: Path | str) -> Detector:
    """A detector's folder, or the URI of one, read.

    Raises:
        DropinError: it is none, it is damaged, or the URI cannot be read.
    """
    if isinstance(source, Path):
        return load_detector(source)
    with tempfile.TemporaryDirectory() as folder:
        try:
            bucket_files.download(source, Path(folder, "detector"))
        except OSError as error:
            raise DropinError(f"{source} cannot be read ({error}): check the URI and the credentials") from error
        return load_detector(Path(folder, "detector"))
