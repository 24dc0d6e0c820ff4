"""Minimum tandem detection cost (min t-DCF): what a detector costs in front of a speaker verifier.

Sources: T. Kinnunen et al., "t-DCF: a Detection Cost Function for the Tandem Assessment of Spoofing Countermeasures and
Automatic Speaker Verification", Odyssey 2018, and the ASVspoof 2019 evaluation plan; T. Kinnunen et al., "Tandem
Assessment of Spoofing Countermeasures and Automatic Speaker Verification: Fundamentals", IEEE/ACM Transactions on
Audio, Speech, and Language Processing 28 (2020), equations 10 and 11, and the ASVspoof 2021 evaluation plan, equations
1 and 2 of its appendix. The plans fix the parameters below, the same in both years, and let the automatic speaker
verification (ASV) work at the threshold of its own EER.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.metrics.asv_scores import AsvScores, read_asv_scores
from trainables.metrics.eer import crossing, error_counts

P_SPOOF = 0.05
"""Prior of a spoofing attack."""
P_TARGET = (1 - P_SPOOF) * 0.99
"""Prior of the target speaker."""
P_NONTARGET = (1 - P_SPOOF) * 0.01
"""Prior of another speaker without a spoof."""
COST_MISS = 1.0
"""Cost of rejecting a target, be it by the ASV or by the countermeasure."""
COST_FALSE_ALARM = 10.0
"""Cost of the ASV accepting a nontarget."""
COST_FALSE_ALARM_SPOOF = 10.0
"""Cost of accepting a spoof."""


def min_tdcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvScores) -> float:
    """Normalised minimum t-DCF of a countermeasure over all its thresholds.

    With the rates of the ASV at its own threshold (see `cost_weights`) and those of the countermeasure (cm) at s,

        C0 = P_target COST_MISS P_miss_asv + P_nontarget COST_FALSE_ALARM P_fa_asv
        C1 = P_target COST_MISS - C0
        C2 = P_spoof COST_FALSE_ALARM_SPOOF P_fa_spoof_asv
        ASVspoof 2019:  min over s of (C1 P_miss_cm(s) + C2 P_fa_cm(s)) / min(C1, C2)
        ASVspoof 2021:  min over s of (C0 + C1 P_miss_cm(s) + C2 P_fa_cm(s)) / (C0 + min(C1, C2))

    The form of 2021, the revision of 2020, counts the ASV's own errors C0 as well: also a perfect countermeasure has a
    cost then. `AsvScores.challenge` says which of them is meant: that of 2019 for the LA and PA corpora of ASVspoof
    2019, that of 2021 for the LA corpus of ASVspoof 2021. Accepting and rejecting everything are among the thresholds,
    so the value never exceeds 1.

    Where no scores are equal, the values are those of the organisers' packages of 2019 and 2021. Utterances with equal
    scores are accepted or rejected together here, in whatever order they come; the packages reject them one by one.

    Args:
        bonafide: the countermeasure's scores of bona fide utterances, [n_bonafide], higher for bona fide.
        spoof: its scores of spoofs, [n_spoof].
        asv: scores of the speaker verification it protects.

    Returns:
        A number in [0, 1]: 1 for a countermeasure that is no better than none; for a perfect one 0 in the form of 2019,
        ``C0 / (C0 + min(C1, C2))`` in that of 2021.

    Raises:
        ValueError: a class is empty, a score is not finite, the ASV leaves a countermeasure nothing to gain (its
            errors are so many that C1 <= 0, or it rejects every spoof so that C2 = 0), or no such form.
    """
    if asv.challenge not in (2019, 2021):
        raise ValueError(f"the form of the t-DCF must be that of 2019 or 2021; got {asv.challenge}")
    own, miss_weight, false_alarm_weight = cost_weights(asv)
    constant = own if asv.challenge == 2021 else 0.0
    _, misses, false_alarms = error_counts(bonafide, spoof)
    costs = constant + miss_weight * (misses / misses[-1]) + false_alarm_weight * (false_alarms / false_alarms[0])
    return float(costs.min() / (constant + min(miss_weight, false_alarm_weight)))


def read_usable_asv_scores(path: Path, *, subset: str = "eval") -> AsvScores:
    """Read ASV scores, and make sure that a t-DCF follows from them, so that it is known before anything is scored.

    Args:
        path: see `read_asv_scores`.
        subset: see `read_asv_scores`.

    Raises:
        ValueError: what `read_asv_scores` and `cost_weights` refuse, with the file.
    """
    asv = read_asv_scores(path, subset=subset)
    try:
        cost_weights(asv)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return asv


def cost_weights(asv: AsvScores) -> tuple[float, float, float]:
    """C0, C1 and C2 of `min_tdcf`, the last two above 0, with the ASV at the threshold of its own EER.

    The packages take as that threshold the highest score that the EER counts as rejected, and accept scores at it: the
    ASV works one verification beside the point of its EER. That rule is kept here.

    Raises:
        ValueError: a class is empty, a score is not finite, or C1 or C2 is not above 0.
    """
    for key, scores in (("target", asv.target), ("nontarget", asv.nontarget), ("spoof", asv.spoof)):
        if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
            raise ValueError(f"ASV {key} scores must be a non-empty array [n] of finite numbers; got {scores!r}")
    thresholds, misses, false_alarms = error_counts(asv.target, asv.nontarget)
    at, _ = crossing(misses, false_alarms)
    threshold = thresholds[max(int(at) - 1, 0)]
    miss = float(np.mean(asv.target < threshold))
    false_alarm = float(np.mean(asv.nontarget >= threshold))
    spoof_accepted = float(np.mean(asv.spoof >= threshold))
    c0 = P_TARGET * COST_MISS * miss + P_NONTARGET * COST_FALSE_ALARM * false_alarm
    c1 = P_TARGET * COST_MISS - c0
    c2 = P_SPOOF * COST_FALSE_ALARM_SPOOF * spoof_accepted
    if c1 <= 0 or c2 <= 0:
        raise ValueError(
            f"t-DCF needs an ASV that a countermeasure can help, C1 > 0 and C2 > 0; got C1 {c1:.4g}, C2 {c2:.4g} "
            f"(ASV at its EER: miss rate {miss:.4g}, false-alarm rate {false_alarm:.4g}, spoofs accepted "
            f"{spoof_accepted:.4g}); check the ASV score file"
        )
    return c0, c1, c2
