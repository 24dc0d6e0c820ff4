"""Errors of a detector on a split, pooled and by condition, from its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search.evaluating.conditions import Condition
from search.reporting.evaluations import Measures
from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.cllr import cllr, min_cllr
from trainables.metrics.dcf import actual_dcf, min_dcf
from trainables.metrics.eer import eer
from trainables.metrics.interval import eer_interval
from trainables.metrics.tdcf import min_tdcf


def measure(
    scores: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    threshold: float,
    asv: AsvScores | None = None,
) -> Measures:
    """Errors on utterances, of which those without a score are left out.

    Args:
        scores: ``[n]``, higher for bona fide; NaN where there is none.
        labels: ``[n]``, 1 for bona fide and 0 for spoof.
        threshold: of the detector's decision.
        asv: scores of the speaker verification, for min t-DCF.

    Returns:
        All that the classes allow: of one class only its errors at the threshold.
    """
    scored = ~np.isnan(scores)
    scores, labels = scores[scored], labels[scored]
    bonafide, spoof = scores[labels == 1], scores[labels == 0]
    misses = float(np.mean(bonafide < threshold)) if len(bonafide) else None
    false_alarms = float(np.mean(spoof >= threshold)) if len(spoof) else None
    if misses is None or false_alarms is None:
        return Measures(None, None, None, None, None, None, None, misses, false_alarms, None, len(bonafide), len(spoof))
    return Measures(
        eer=eer(bonafide, spoof)[0],
        interval=eer_interval(scores, labels),
        min_dcf=float(min_dcf(bonafide, spoof)),
        actual_dcf=float(actual_dcf(bonafide, spoof)),
        cllr=float(cllr(bonafide, spoof)),
        min_cllr=float(min_cllr(bonafide, spoof)),
        min_tdcf=None if asv is None else min_tdcf(bonafide, spoof, asv),
        misses=misses,
        false_alarms=false_alarms,
        hter=(misses + false_alarms) / 2,
        bonafide=len(bonafide),
        spoof=len(spoof),
    )


def measure_by(
    scores: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    threshold: float,
    conditions: Sequence[Condition],
) -> dict[str, dict[str, Measures]]:
    """Errors by condition and value, see `conditions`; there is no min t-DCF of a part of a split.

    The scores of a speaker verification are those of the whole split, so a part has none that belong to it.
    """
    return {
        condition.name: {value: measure(scores[own], labels[own], threshold) for value, own in condition.groups(labels)}
        for condition in conditions
    }
