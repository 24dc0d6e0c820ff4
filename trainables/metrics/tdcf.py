"""Minimum tandem detection cost (min t-DCF) of ASVspoof 2019: what a detector costs in front of a speaker verifier.

Source: T. Kinnunen et al., "t-DCF: a Detection Cost Function for the Tandem Feasibility of Spoofing Countermeasures and
Automatic Speaker Verification", Odyssey 2018, and the ASVspoof 2019 evaluation plan (performance measures), which fixes
the parameters below and lets the automatic speaker verification (ASV) work at the threshold of its own EER. This is the
form that the 2019 challenge ranked by, not the revision of 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.metrics.eer import eer, error_counts

P_SPOOF = 0.05
"""Prior of a spoofing attack."""
P_TARGET = (1 - P_SPOOF) * 0.99
"""Prior of the target speaker."""
P_NONTARGET = (1 - P_SPOOF) * 0.01
"""Prior of another speaker without a spoof."""
COST_MISS_ASV = 1.0
"""Cost of the ASV rejecting a target."""
COST_FALSE_ALARM_ASV = 10.0
"""Cost of the ASV accepting a nontarget."""
COST_MISS_CM = 1.0
"""Cost of the countermeasure rejecting bona fide speech."""
COST_FALSE_ALARM_CM = 10.0
"""Cost of the countermeasure accepting a spoof."""

KEYS = ("target", "nontarget", "spoof")


@dataclass(frozen=True)
class AsvScores:
    """Scores of a speaker verification system, higher for the claimed speaker.

    Attributes:
        target: the claimed speaker's own speech, [n_target].
        nontarget: other speakers' own speech, [n_nontarget].
        spoof: spoofs of the claimed speaker, [n_spoof].
    """

    target: npt.NDArray[np.float64]
    nontarget: npt.NDArray[np.float64]
    spoof: npt.NDArray[np.float64]


def read_asv_scores(path: Path) -> AsvScores:
    """Read the organisers' ASV scores, ``ASVspoof2019.{LA,PA}.asv.{dev,eval}.gi.trl.scores.txt``.

    One verification a line, columns separated by blanks: ``SOURCE KEY SCORE``, as in ``bonafide target 4.7`` or
    ``A07 spoof -1.3``. Only the last two columns are used, so files with more columns in front are read as well.

    Raises:
        ValueError: no such file, not text, a line with fewer than 3 columns, an unknown key, a score that is not a
            finite number, or a key without any line. All faulty lines are named at once (the first 20 by number).
    """
    scores: dict[str, list[float]] = {key: [] for key in KEYS}
    faults: list[str] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"ASV scores cannot be read from {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if not columns:
            continue
        if len(columns) < 3:
            faults.append(f"{path}:{number}: expected SOURCE KEY SCORE; got {line!r}")
        elif columns[-2] not in KEYS:
            faults.append(f"{path}:{number}: key must be one of {', '.join(KEYS)}; got {columns[-2]!r}")
        else:
            score = _number(columns[-1])
            if math.isfinite(score):
                scores[columns[-2]].append(score)
            else:
                faults.append(f"{path}:{number}: score must be a finite number; got {columns[-1]!r}")
    if not faults:
        faults = [f"{path}: no line has the key {key!r}" for key in KEYS if not scores[key]]
    if faults:
        more = [f"and {len(faults) - 20} more faults"] if len(faults) > 20 else []
        raise ValueError("\n".join([*faults[:20], *more]))
    return AsvScores(*(np.array(scores[key], dtype=np.float64) for key in KEYS))


def min_tdcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvScores) -> float:
    """Normalised minimum t-DCF of a countermeasure over all its thresholds.

        t-DCF(s) = C1 P_miss_cm(s) + C2 P_fa_cm(s)
        C1 = P_target (COST_MISS_CM - COST_MISS_ASV P_miss_asv) - P_nontarget COST_FALSE_ALARM_ASV P_fa_asv
        C2 = P_spoof COST_FALSE_ALARM_CM (1 - P_miss_spoof_asv)
        min t-DCF = min over s of t-DCF(s) / min(C1, C2)

    Both systems accept when ``score >= threshold``; accepting and rejecting
    everything are among the thresholds, so the value never exceeds 1. The organisers' script rates the ASV one score
    below the threshold it found: its result differs by what one verification weighs, under 1e-4 on the LA eval split.

    Args:
        bonafide: the countermeasure's scores of bona fide utterances, [n_bonafide], higher for bona fide.
        spoof: its scores of spoofs, [n_spoof].
        asv: scores of the speaker verification it protects.

    Returns:
        A number in [0, 1]: 0 for a perfect countermeasure, 1 for one that is no better than none.

    Raises:
        ValueError: a class is empty, a score is not finite, or the ASV leaves a countermeasure nothing to gain (its
            errors are so many that C1 <= 0, or it rejects every spoof so that C2 = 0).
    """
    c1, c2 = cost_weights(asv)
    _, misses, false_alarms = error_counts(bonafide, spoof)
    costs = c1 * misses / misses[-1] + c2 * false_alarms / false_alarms[0]
    return float(costs.min() / min(c1, c2))


def cost_weights(asv: AsvScores) -> tuple[float, float]:
    """C1 and C2 of `min_tdcf`, both above 0, with the ASV at the threshold of its own EER.

    Raises:
        ValueError: a class is empty, a score is not finite, or C1 or C2 is not above 0.
    """
    for key, scores in (("target", asv.target), ("nontarget", asv.nontarget), ("spoof", asv.spoof)):
        if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
            raise ValueError(f"ASV {key} scores must be a non-empty array [n] of finite numbers; got {scores!r}")
    _, threshold = eer(asv.target, asv.nontarget)
    miss = float(np.mean(asv.target < threshold))
    false_alarm = float(np.mean(asv.nontarget >= threshold))
    spoof_accepted = float(np.mean(asv.spoof >= threshold))
    c1 = P_TARGET * (COST_MISS_CM - COST_MISS_ASV * miss) - P_NONTARGET * COST_FALSE_ALARM_ASV * false_alarm
    c2 = P_SPOOF * COST_FALSE_ALARM_CM * spoof_accepted
    if c1 <= 0 or c2 <= 0:
        raise ValueError(
            f"t-DCF needs an ASV that a countermeasure can help, C1 > 0 and C2 > 0; got C1 {c1:.4g}, C2 {c2:.4g} "
            f"(ASV at its EER: miss rate {miss:.4g}, false-alarm rate {false_alarm:.4g}, spoofs accepted "
            f"{spoof_accepted:.4g}); check the ASV score file"
        )
    return c1, c2


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
