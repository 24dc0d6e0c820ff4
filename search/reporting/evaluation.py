"""Evaluation of a detector on a split: EER, EER by attack, errors at its threshold, and min t-DCF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.cllr import cllr, min_cllr
from trainables.metrics.dcf import actual_dcf, min_dcf
from trainables.metrics.eer import eer, eer_of
from trainables.metrics.interval import eer_interval
from trainables.metrics.tdcf import min_tdcf


@dataclass(frozen=True)
class Evaluation:
    """Errors on a split, all fractions.

    Attributes:
        eer: equal error rate.
        by_attack: equal error rate of each attack's spoofs against all bona fide utterances, sorted by attack.
        misses: miss rate: share of bona fide utterances with a score below the detector's threshold.
        false_alarms: false alarm rate: share of spoofs with a score at or above it.
        min_tdcf: normalised minimum t-DCF; ``None`` without ASV scores.
        interval: 95 % bootstrap interval of the EER, resampled by utterance.
    """

    eer: float
    by_attack: Mapping[str, float]
    misses: float
    false_alarms: float
    min_tdcf: float | None
    interval: tuple[float, float]

    @classmethod
    def from_scores(
        cls,
        scores: npt.NDArray[np.float64],
        labels: npt.NDArray[np.int64],
        attacks: npt.NDArray[np.object_],
        threshold: float,
        asv: AsvScores | None = None,
    ) -> Evaluation:
        """Evaluate countermeasure scores.

        Args:
            scores: ``[n]``, higher for bona fide.
            labels: ``[n]``, 1 for bona fide and 0 for spoof.
            attacks: ``[n]``, the attack of each spoof; ignored for bona fide utterances.
            threshold: of the detector's decision: bona fide if ``score >= threshold``.
            asv: scores of the automatic speaker verification (ASV) system in tandem with the detector.

        Raises:
            ValueError: a class is empty, a score is not finite, or the ASV is of no use (see `min_tdcf`).
        """
        overall, _ = eer_of(scores, labels)
        bonafide, spoof, attack = scores[labels == 1], scores[labels == 0], attacks[labels == 0]
        return cls(
            eer=overall,
            by_attack={str(name): eer(bonafide, spoof[attack == name])[0] for name in sorted(set(attack))},
            misses=float(np.mean(bonafide < threshold)),
            false_alarms=float(np.mean(spoof >= threshold)),
            min_tdcf=None if asv is None else min_tdcf(bonafide, spoof, asv),
            interval=eer_interval(scores, labels),
        )
