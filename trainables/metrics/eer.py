"""Equal error rate of a detector, as the ASVspoof organisers compute it.

A detector accepts an utterance as bona fide when ``score >= threshold``. For a threshold t

    miss rate        P_miss(t) = #{bona fide score < t} / #bona fide
    false-alarm rate P_fa(t)   = #{spoof score >= t}    / #spoof

and the EER is ``(P_miss(t) + P_fa(t)) / 2`` at the t where the two rates are closest. Where no scores are equal, this
is what the packages of ASVspoof 2019, 2021 and 5 give. Utterances with equal scores are accepted or rejected together
here, whatever the order in which they come. The packages reject them one by one, in the order in which their sort
leaves them, and so count rates that no threshold gives.
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
    positive = np.sort(checked(bonafide, "bona fide"))
    negative = np.sort(checked(spoof, "spoof"))
    thresholds = np.append(np.unique(np.concatenate([positive, negative])), np.inf)
    misses = np.searchsorted(positive, thresholds, side="left").astype(np.int64)
    false_alarms = (negative.size - np.searchsorted(negative, thresholds, side="left")).astype(np.int64)
    return thresholds, misses, false_alarms


def crossing(
    misses: npt.NDArray[np.int64], false_alarms: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where miss and false-alarm rate are closest, and their mean there.

    The rates are compared in double precision, as the organisers' packages do. Of two thresholds that are equally close
    rounding may so prefer either; where it does not, the lower one counts. With n_bonafide = 3, n_spoof = 2 the gaps
    1/3 - 1/2 and 2/3 - 1/2 are such a pair, and the second, in double precision the smaller, gives the EER.

    Args:
        misses: as `error_counts` gives them, [..., k + 1], rising to n_bonafide.
        false_alarms: likewise, falling from n_spoof.

    Returns:
        Two arrays [...]: places in the last dimension, and the EERs, fractions.
    """
    miss, false_alarm = misses / misses[..., -1:], false_alarms / false_alarms[..., :1]
    at = np.abs(miss - false_alarm).argmin(axis=-1)
    return at, np.take_along_axis((miss + false_alarm) / 2, at[..., None], axis=-1)[..., 0]


def eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> tuple[float, float]:
    """Equal error rate and the threshold that gives it.

    The definition is that of the ASVspoof 2019 evaluation plan (performance measures); of thresholds that bring the
    rates equally close one is chosen as `crossing` says.

    Args:
        bonafide: scores of bona fide utterances, [n_bonafide], higher for bona fide.
        spoof: scores of spoofs, [n_spoof].

    Returns:
        EER as a fraction in [0, 1] (0.5 when all scores are equal), and a threshold, always one of the scores: accept
        as bona fide when ``score >= threshold``. The organisers' packages name the score below it, the highest that is
        rejected.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    thresholds, misses, false_alarms = error_counts(bonafide, spoof)
    at, rate = crossing(misses, false_alarms)
    return float(rate), float(thresholds[at])


def eer_of(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[float, float]:
    """Equal error rate from scores and labels side by side; see `eer`.

    Args:
        scores: [n], higher for bona fide.
        labels: [n], 1 for bona fide and 0 for spoof.

    Raises:
        ValueError: shapes differ, a label is neither 0 nor 1, a class is empty, or a score is not finite.
    """
    return eer(*labelled(scores, labels))


def labelled(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scores of bona fide utterances, and of spoofs, in the order in which they come.

    Args:
        scores: [n].
        labels: [n], 1 for bona fide and 0 for spoof.

    Raises:
        ValueError: shapes differ, or a label is neither 0 nor 1.
    """
    values, keys = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if values.ndim != 1 or values.shape != keys.shape:
        raise ValueError(f"scores and labels must be two arrays of one length; got shapes {values.shape}, {keys.shape}")
    if not np.isin(keys, (0, 1)).all():
        raise ValueError(f"labels must be 1 (bona fide) or 0 (spoof); got {np.unique(keys)[:5].tolist()}")
    return values[keys == 1], values[keys == 0]


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


def checked(scores: npt.ArrayLike, of: str) -> npt.NDArray[np.float64]:
    """Scores of a class as an array, [n].

    Args:
        scores: [n].
        of: the class, for the message.

    Raises:
        ValueError: no score, another shape, or a score that is NaN or infinite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{of} scores must be a non-empty array of one dimension; got shape {values.shape}")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{of} scores must be finite; {bad} of {values.size} are NaN or infinite: has it diverged?")
    return values
