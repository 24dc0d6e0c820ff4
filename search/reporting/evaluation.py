"""Evaluation of a detector on a split: EER, also by attack, errors at its threshold, min t-DCF, DCF and Cllr."""

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
    """Errors on a split: rates are fractions, costs normalised so that 1 is a detector of no use.

    Attributes:
        eer: equal error rate.
        by_attack: equal error rate of each attack's spoofs against all bona fide utterances, sorted by attack.
        misses: miss rate: share of bona fide utterances with a score below the detector's threshold.
        false_alarms: false alarm rate: share of spoofs with a score at or above it.
        min_tdcf: normalised minimum t-DCF; ``None`` without ASV scores.
        interval: 95 % bootstrap interval of the EER, resampled by utterance.
        min_dcf: normalised minimum detection cost of ASVspoof 5, at the threshold that is best on this split.
        actual_dcf: that cost at the threshold for log-likelihood ratios (LLRs): of scores that are none it says little.
        cllr: cost of the scores as LLRs, in bits.
        min_cllr: what is left of it, in bits, after the best calibration on this split.
        hter: half total error rate, the mean of the miss and the false alarm rate.
    """

    eer: float
    by_attack: Mapping[str, float]
    misses: float
    false_alarms: float
    min_tdcf: float | None
    interval: tuple[float, float]
    min_dcf: float
    actual_dcf: float
    cllr: float
    min_cllr: float
    hter: float

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
            scores: ``[n]``, higher for bona fide; LLRs where the detector is calibrated.
            labels: ``[n]``, 1 for bona fide and 0 for spoof.
            attacks: ``[n]``, the attack of each spoof; ignored for bona fide utterances.
            threshold: of the detector's decision: bona fide if ``score >= threshold``.
            asv: scores of the automatic speaker verification (ASV) system in tandem with the detector.

        Raises:
            ValueError: a class is empty, a score is not finite, or the ASV is of no use (see `min_tdcf`).
        """
        overall, _ = eer_of(scores, labels)
        bonafide, spoof, attack = scores[labels == 1], scores[labels == 0], attacks[labels == 0]
        misses, false_alarms = float(np.mean(bonafide < threshold)), float(np.mean(spoof >= threshold))
        return cls(
            eer=overall,
            by_attack={str(name): eer(bonafide, spoof[attack == name])[0] for name in sorted(set(attack))},
            misses=misses,
            false_alarms=false_alarms,
            min_tdcf=None if asv is None else min_tdcf(bonafide, spoof, asv),
            interval=eer_interval(scores, labels),
            min_dcf=min_dcf(bonafide, spoof),
            actual_dcf=actual_dcf(bonafide, spoof),
            cllr=cllr(bonafide, spoof),
            min_cllr=min_cllr(bonafide, spoof),
            hter=(misses + false_alarms) / 2,
        )
