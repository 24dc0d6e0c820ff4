"""Calibration of a detector on dev, and what its scores were worth before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.metrics.calibration import Calibration, bayes_threshold, fit
from trainables.metrics.cllr import cllr
from trainables.metrics.dcf import actual_dcf
from trainables.metrics.eer import between, eer_of

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Uncalibrated:
    """What the log-odds of the network, taken for log-likelihood ratios, cost on a split.

    Attributes:
        cllr: see `Evaluation`, as the others.
        actual_dcf: likewise.
        misses: miss rate at the threshold that the detector had in the run, that of its EER on dev.
        false_alarms: false alarm rate there.
    """

    cllr: float
    actual_dcf: float
    misses: float
    false_alarms: float

    @classmethod
    def from_scores(cls, scores: Scores, labels: Labels, threshold: float) -> Uncalibrated:
        """The costs of log-odds ``[n]`` with labels ``[n]``, 1 for bona fide and 0 for spoof."""
        bonafide, spoof = scores[labels == 1], scores[labels == 0]
        return cls(
            cllr(bonafide, spoof),
            actual_dcf(bonafide, spoof),
            float(np.mean(bonafide < threshold)),
            float(np.mean(spoof >= threshold)),
        )


@dataclass(frozen=True)
class DevCalibration:
    """A calibration that was fitted on dev.

    Attributes:
        calibration: from the network's log-odds to log-likelihood ratios (LLRs).
        prior: of bona fide speech, that it was fitted for.
        threshold: of LLRs, with the fewest expected errors at this prior.
        eer_threshold: of LLRs, that of the EER on dev.
        before: costs without it, by split.
    """

    calibration: Calibration
    prior: float
    threshold: float
    eer_threshold: float
    before: Mapping[str, Uncalibrated]


def calibrate(
    scores: Mapping[str, Scores], labels: Mapping[str, Labels], *, prior: float, threshold: float
) -> DevCalibration:
    """Fit a calibration on dev.

    Args:
        scores: log-odds ``[n]`` by split, dev among them.
        labels: labels ``[n]`` by split, 1 for bona fide and 0 for spoof.
        prior: of bona fide speech, in (0, 1).
        threshold: of log-odds, that the detector had in the run.

    Raises:
        ValueError: a class of dev is empty, a score is not finite, or a prior outside of (0, 1).
    """
    calibration = fit(scores["dev"], labels["dev"], prior)
    ratios = calibration.apply(scores["dev"])
    return DevCalibration(
        calibration,
        prior,
        bayes_threshold(prior),
        between(ratios, eer_of(ratios, labels["dev"])[1]),
        {split: Uncalibrated.from_scores(scores[split], labels[split], threshold) for split in scores},
    )
