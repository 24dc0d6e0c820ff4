"""Errors of a detector on a split, pooled and by condition, from its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.evaluating.conditions import Condition
from search.reporting.evaluation import Evaluation
from search.reporting.evaluations import Measures
from trainables.metrics.asv_scores import AsvScores

OF_BOTH_CLASSES = ("eer", "interval", "min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf", "hter")
"""What needs bona fide utterances and spoofs."""


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
    both: dict[str, Any]
    if misses is None or false_alarms is None:
        both = dict.fromkeys(OF_BOTH_CLASSES)
    else:
        # Attacks are one of the conditions here.
        found = Evaluation.from_scores(scores, labels, np.full(len(labels), "-", dtype=object), threshold, asv)
        both = {name: getattr(found, name) for name in OF_BOTH_CLASSES}
    return Measures(**both, misses=misses, false_alarms=false_alarms, bonafide=len(bonafide), spoof=len(spoof))


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
