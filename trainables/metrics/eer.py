"""Equal error rate of a detector, as the ASVspoof organisers compute it.

A detector accepts an utterance as bona fide when ``score >= threshold``. For a threshold t

    miss rate        P_miss(t) = #{bona fide score < t} / #bona fide
    false-alarm rate P_fa(t)   = #{spoof score >= t}    / #spoof

and the EER is ``(P_miss(t) + P_fa(t)) / 2`` at the t where the two rates are closest. Utterances with equal scores
are accepted or rejected together, so the order in which scores come never matters.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def error_counts(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Errors at every threshold that makes a difference.

    Args:
        bonafide: scores of bona fide utterances, [n_bonafide], higher for bona fide.
        spoof: scores of spoofs, [n_spoof].

    Returns:
        Three arrays [k + 1], where k is the number of distinct scores: thresholds in ascending order (the distinct
        scores, then +inf, which rejects everything); misses, from 0 to n_bonafide; false alarms, from n_spoof to 0.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    positive = np.sort(_checked(bonafide, "bona fide"))
    negative = np.sort(_checked(spoof, "spoof"))
    thresholds = np.append(np.unique(np.concatenate([positive, negative])), np.inf)
    misses = np.searchsorted(positive, thresholds, side="left").astype(np.int64)
    false_alarms = (negative.size - np.searchsorted(negative, thresholds, side="left")).astype(np.int64)
    return thresholds, misses, false_alarms


def eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> tuple[float, float]:
    """Equal error rate and the threshold that gives it.

    The definition is that of the ASVspoof 2019 evaluation plan (performance measures). Where two thresholds bring the
    rates equally close, the lower one counts.

    Args:
        bonafide: scores of bona fide utterances, [n_bonafide], higher for bona fide.
        spoof: scores of spoofs, [n_spoof].

    Returns:
        EER as a fraction in [0, 1] (0.5 when all scores are equal), and a threshold, always one of the scores: accept
        as bona fide when ``score >= threshold``.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    thresholds, misses, false_alarms = error_counts(bonafide, spoof)
    n_bonafide, n_spoof = int(misses[-1]), int(false_alarms[0])
    # Rates over their common denominator are whole numbers: which threshold is closest never hangs on rounding.
    at = int(np.argmin(np.abs(misses * n_spoof - false_alarms * n_bonafide)))
    return float(misses[at] / n_bonafide + false_alarms[at] / n_spoof) / 2, float(thresholds[at])


def eer_of(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[float, float]:
    """Equal error rate from scores and labels side by side; see `eer`.

    Args:
        scores: [n], higher for bona fide.
        labels: [n], 1 for bona fide and 0 for spoof.

    Raises:
        ValueError: shapes differ, a label is neither 0 nor 1, a class is empty, or a score is not finite.
    """
    values, keys = np.asarray(scores), np.asarray(labels)
    if values.ndim != 1 or values.shape != keys.shape:
        raise ValueError(f"scores and labels must be two arrays of one length; got shapes {values.shape}, {keys.shape}")
    if not np.isin(keys, (0, 1)).all():
        raise ValueError(f"labels must be 1 (bona fide) or 0 (spoof); got {np.unique(keys)[:5].tolist()}")
    return eer(values[keys == 1], values[keys == 0])


def between(scores: npt.ArrayLike, threshold: float) -> float:
    """A threshold that decides these scores as `threshold` does, midway to the highest score below it.

    `eer` gives one of the scores. Computed again (merged weights, another batch, another device) that score may come
    out a rounding error lower and be rejected; the middle of the gap is safe from that.

    Args:
        scores: [n].
        threshold: one of them, or any other number.
    """
    below = np.asarray(scores, dtype=np.float64)
    below = below[below < threshold]
    return float((below.max() + threshold) / 2) if below.size else float(threshold)


def _checked(scores: npt.ArrayLike, of: str) -> npt.NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{of} scores must be a non-empty array of one dimension; got shape {values.shape}")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{of} scores must be finite; {bad} of {values.size} are NaN or infinite: has it diverged?")
    return values
