"""Detection cost of a countermeasure by itself: min DCF and actual DCF of ASVspoof 5.

Source: the ASVspoof 5 evaluation plan, track 1 (X. Wang et al., "ASVspoof 5: Crowdsourced Speech Data, Deepfakes, and
Adversarial Attacks at Scale", ASVspoof workshop 2024). With a prior of spoofs and a cost of each error,

    DCF(t) = COST_MISS (1 - P_SPOOF) P_miss(t) + COST_FALSE_ALARM P_SPOOF P_fa(t)

is divided by the cost of the better of two systems that do not listen, which reject or accept everything:
``min(COST_MISS (1 - P_SPOOF), COST_FALSE_ALARM P_SPOOF)``, here the 0.5 of accepting everything. So the normalised cost
is ``1.9 P_miss(t) + P_fa(t)``, and 1 is a detector of no use.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trainables.metrics.eer import checked, error_counts

P_SPOOF = 0.05
"""Prior of a spoof."""
COST_MISS = 1.0
"""Cost of rejecting bona fide speech."""
COST_FALSE_ALARM = 10.0
"""Cost of accepting a spoof."""
MISS_WEIGHT, FALSE_ALARM_WEIGHT = COST_MISS * (1 - P_SPOOF), COST_FALSE_ALARM * P_SPOOF
"""What the two rates weigh in the cost."""
THRESHOLD = -math.log(MISS_WEIGHT / FALSE_ALARM_WEIGHT)
"""The threshold of a log-likelihood ratio (LLR) with the least expected cost, -ln 1.9.

Of an utterance with the LLR s the odds of bona fide are ``exp(s) (1 - P_SPOOF) / P_SPOOF``. To accept costs no more
than to reject where the expected cost of a miss, COST_MISS times these odds, is at least that of a false alarm,
COST_FALSE_ALARM: ``exp(s) >= COST_FALSE_ALARM P_SPOOF / (COST_MISS (1 - P_SPOOF))``, which is 0.5 / 0.95 = 1 / 1.9. The
evaluation plan writes -ln beta, with beta of its equation 3.
"""


def min_dcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Normalised DCF at the best of all thresholds, which is chosen on these very scores.

    Args:
        bonafide: scores of bona fide utterances, [n_bonafide], higher for bona fide.
        spoof: scores of spoofs, [n_spoof].

    Returns:
        A number in [0, 1]; it depends on the order of the scores only. Where no scores are equal, it is that of the
        ASVspoof 5 package; for equal ones see `trainables.metrics.eer`.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    _, misses, false_alarms = error_counts(bonafide, spoof)
    return float(_normalised(misses / misses[-1], false_alarms / false_alarms[0]).min())


def actual_dcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Normalised DCF at `THRESHOLD`: what a user pays who takes the scores for log-likelihood ratios.

    Args:
        bonafide: LLRs (natural logarithms) of bona fide utterances, [n_bonafide].
        spoof: LLRs of spoofs, [n_spoof].

    Returns:
        A number in [0, 2.9], at least `min_dcf`; above 1 it would be better not to listen.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    miss = (checked(bonafide, "bona fide") < THRESHOLD).mean(keepdims=True)
    false_alarm = (checked(spoof, "spoof") >= THRESHOLD).mean(keepdims=True)
    return float(_normalised(miss, false_alarm)[0])


def _normalised(miss: npt.NDArray[np.float64], false_alarm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    cost = MISS_WEIGHT * miss + FALSE_ALARM_WEIGHT * false_alarm
    return cost / min(MISS_WEIGHT, FALSE_ALARM_WEIGHT)
