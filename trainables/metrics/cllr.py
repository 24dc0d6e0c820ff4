"""Cost of log-likelihood ratios (Cllr): how good scores are as evidence, over all priors and costs at once.

Source: N. Bruemmer and J. du Preez, "Application-independent evaluation of speaker detection", Computer Speech and
Language 20 (2006): C_llr, and its minimum by pool adjacent violators.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.metrics.eer import checked


def cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Mean cost of the scores as log-likelihood ratios, each class with the weight 1/2.

        Cllr = (mean over bona fide of log2(1 + exp(-s)) + mean over spoofs of log2(1 + exp(s))) / 2

    It is the cross-entropy, in bits, of the class given ``P(bona fide) = 1 / (1 + exp(-s))``, the posterior at even
    odds.

    Args:
        bonafide: LLRs (natural logarithms) of bona fide utterances, [n_bonafide].
        spoof: LLRs of spoofs, [n_spoof].

    Returns:
        Bits, at least 0; 1 where every LLR is 0, more where the scores mislead.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    positive, negative = checked(bonafide, "bona fide"), checked(spoof, "spoof")
    # logaddexp(0, x) is log(1 + exp(x)) without overflow.
    costs = np.logaddexp(0, -positive).mean() + np.logaddexp(0, negative).mean()
    return float(costs / (2 * np.log(2)))


def min_cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Cllr after the best calibration that keeps the order of scores: what is left is how well they tell classes apart.

    That calibration gives each score the share of bona fide among those around it, by isotonic regression (pool
    adjacent violators, PAV) with half of the weight on each class. Scores below all bona fide and above all spoofs get
    the LLRs minus and plus infinity, which on the very scores that PAV saw cost nothing.

    Args:
        bonafide: scores of bona fide utterances, [n_bonafide], higher for bona fide; only their order counts.
        spoof: scores of spoofs, [n_spoof].

    Returns:
        Bits, in [0, 1], at most `cllr` of the same scores: 0 where the classes are separated.

    Raises:
        ValueError: a class is empty, or a score is NaN or infinite.
    """
    from scipy.optimize import isotonic_regression  # a slow import that only evaluations need

    positive, negative = checked(bonafide, "bona fide"), checked(spoof, "spoof")
    _, place = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    # Weight of each class at each distinct score: equal scores get one LLR.
    bona = np.bincount(place[: positive.size], minlength=place.max() + 1) / (2 * positive.size)
    fake = np.bincount(place[positive.size :], minlength=place.max() + 1) / (2 * negative.size)
    shares = isotonic_regression(bona / (bona + fake), weights=bona + fake).x.clip(0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(bona > 0, -bona * np.log2(shares), 0), np.where(fake > 0, -fake * np.log2(1 - shares), 0)
    return float(np.sum(bits))
