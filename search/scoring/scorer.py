"""A detector as it is used: what it is fed, its calibrated scores, and the verdict at its threshold."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search.scoring.window_extraction import WindowSpec
from search.scoring.windowing import Windowing
from trainables import features
from trainables.audio.resampling import SAMPLE_RATE
from trainables.errors import DropinError
from trainables.features.segment import samples_in
from trainables.features.waveform import standardised
from trainables.metrics.calibration import Calibration
from trainables.storage import bucket_files
from trainables.storage.checkpoint import DIGESTS, Detector, load_detector
from trainables.trial.training import select_device

SHOWN_DETECTORS = 20


class Scorer:
    """A detector that scores recordings.

    Attributes:
        detector: the detector.
        windowing: which windows of a recording are scored, and how their scores become one.
        spec: what it is fed.
        threshold: speech is taken for bona fide where the score is at least this.
        note: what a user has to know about the corpus that it was trained on, or nothing.
        device: where it computes.
    """

    def __init__(self, detector: Detector, windowing: Windowing | None = None) -> None:
        """Take a detector, by default with all windows of a recording.

        Raises:
            DropinError: its card does not say how to use it or names a front end that there is not, or the hop is
                longer than its window.
        """
        card = detector.card
        self.detector, self.windowing = detector, windowing or Windowing()
        try:
            self.threshold = float(card["threshold"])
            seconds, front_end = float(card["seconds"]), str(card["front_end"])
            self.note = str((card.get("corpus") or {}).get("note", ""))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DropinError(f"a detector's card must say threshold, seconds and front_end: {error!r}") from error
        if not math.isfinite(self.threshold):
            raise DropinError(
                f"the threshold of a detector's card must be finite; got {self.threshold}: export it anew"
            )
        self._calibration = _calibration(card)
        features.load(front_end)
        self.spec = WindowSpec(front_end, samples_in(seconds, SAMPLE_RATE), self.windowing)
        self.windowing.step(self.spec.samples)
        self.device = select_device()
        self._module = detector.module.to(self.device)

    @torch.inference_mode()
    def log_odds(self, rows: np.ndarray) -> np.ndarray:
        """Scores of windows.

        Args:
            rows: their features, ``[windows, *shape]``, as the front end makes them.

        Returns:
            float64 ``[windows]``: log-odds of bona fide speech; log-likelihood ratios if the detector is calibrated.
        """
        size = self._module.scoring_batch
        found = [self._logits(rows[at : at + size]) for at in range(0, len(rows), size)]
        return self._calibration.apply(np.concatenate(found)) if found else np.zeros(0)

    def verdict(self, score: float) -> str:
        """What the detector takes speech of this score for."""
        return "bona fide" if score >= self.threshold else "spoof"

    def _logits(self, rows: np.ndarray) -> np.ndarray:
        """Log-odds before calibration."""
        x = np.stack([standardised(row) for row in rows]) if rows.dtype == np.int16 else rows
        logits = self._module(torch.from_numpy(x).to(self.device)).double()
        found: np.ndarray = (logits[:, 1] - logits[:, 0]).cpu().numpy()
        return found


def _calibration(card: Mapping[str, Any]) -> Calibration:
    """What makes a log-likelihood ratio of the log-odds; it changes nothing where a card has none."""
    found = card.get("calibration")
    if found is None:
        return Calibration(1.0, 0.0)
    try:
        return Calibration(float(found["slope"]), float(found["intercept"]))
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise DropinError(
            f"the calibration of a detector's card must have slope and intercept: {error!r}: export it anew"
        ) from error


def read_detector(source: Path | str) -> Detector:
    """A detector's folder, or the URI of one, read.

    Raises:
        DropinError: it is none, it is damaged, or the URI cannot be read.
    """
    if isinstance(source, Path):
        _check_no_front(source)
        return load_detector(source)
    with tempfile.TemporaryDirectory() as folder:
        try:
            bucket_files.download(source, Path(folder, "detector"))
        except OSError as error:
            raise DropinError(f"{source} cannot be read ({error}): check the URI and the credentials") from error
        return load_detector(Path(folder, "detector"))


def _check_no_front(folder: Path) -> None:
    """A folder that holds detectors, such as a front or a run, is told with their names."""
    if os.path.exists(folder / DIGESTS):
        return
    for holder in (folder / "detectors", folder):
        try:
            names = [name for name in os.listdir(holder) if os.path.exists(holder / name / DIGESTS)]
        except OSError:
            continue  # loading says what is wrong with it
        if names:
            names.sort(key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
            more = f" and {len(names) - SHOWN_DETECTORS} more" if len(names) > SHOWN_DETECTORS else ""
            raise DropinError(
                f"DETECTOR must be the folder of one detector; {folder} holds several: name one of "
                f"{', '.join(str(holder / name) for name in names[:SHOWN_DETECTORS])}{more}"
            )
