"""Calibration: a line that makes a log-likelihood ratio (LLR) of a score.

Source: prior-weighted logistic regression as in N. Bruemmer and J. du Preez, "Application-independent evaluation of
speaker detection", Computer Speech and Language 20 (2006). That no utterance counts as wholly of its class is an idea
of J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers (1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.metrics.eer import checked, labelled

LEAST_SLOPE = 0.001
"""The least slope of a calibration, for scores divided by their standard deviation."""


@dataclass(frozen=True)
class Calibration:
    """A rising line from scores to LLRs: ``slope * score + intercept``. The order of scores, and so the EER, stays.

    Attributes:
        slope: finite, above 0.
        intercept: finite.

    Raises:
        ValueError: another slope or intercept.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and self.slope > 0 and math.isfinite(self.intercept)):
            raise ValueError(
                "a calibration must have a finite slope above 0 and a finite intercept; "
                f"got {self.slope!r} and {self.intercept!r}"
            )

    def apply(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """LLRs (natural logarithms) of scores, of the same shape."""
        return self.slope * np.asarray(scores, dtype=np.float64) + self.intercept


def bayes_threshold(prior: float) -> float:
    """The threshold of an LLR with the fewest expected errors, ``-logit(prior)``: 0 at even odds.

    Args:
        prior: of bona fide speech, in (0, 1). Other costs than equal ones go into it: the effective prior of ASVspoof 5
            (see `dcf`) is 0.95 / (0.95 + 0.5), about 0.655, and gives -ln 1.9.

    Raises:
        ValueError: a prior outside of (0, 1).
    """
    return 0.0 - _logit(prior)  # not -0.0 at even odds


def fit(scores: npt.ArrayLike, labels: npt.ArrayLike, prior: float = 0.5) -> Calibration:
    """Fit a calibration by logistic regression.

    The line minimises the cross-entropy between classes and posteriors ``1 / (1 + exp(-(llr + logit(prior))))``, where
    bona fide together weighs `prior` and spoof the rest, however many utterances there are of each. Of n utterances of
    a class ``(n + 1) / (n + 2)`` are counted where they are, and ``1 / (n + 2)`` where the other class is: that much of
    it may lie there unseen (the rule of succession). So classes that a threshold separates give a finite slope too, and
    no score claims more than the utterances can show: amid bona fide the LLR is about ln of the number of spoofs, amid
    spoofs -ln of the number of bona fide utterances. The more there are, the less this changes.

    A detector that is no better than chance would get a slope of 0 or less, which ties all scores or turns them over.
    It gets the slope `LEAST_SLOPE` over the scores' standard deviation and LLRs around 0, which keep the order and say
    that the scores tell nothing: a Cllr of about 1 bit. Scores that are all the same get the LLR 0.

    Args:
        scores: [n], higher for bona fide.
        labels: [n], 1 for bona fide and 0 for spoof.
        prior: effective prior of bona fide speech, in (0, 1): where on the axis of scores the fit matters most.

    Raises:
        ValueError: shapes differ, a label is neither 0 nor 1, a class is empty, a score is not finite, or a prior
            outside of (0, 1).
    """
    odds = _logit(prior)
    positive, negative = labelled(scores, labels)
    values = np.concatenate([checked(positive, "bona fide"), checked(negative, "spoof")])
    # Half of the weight on each class.
    centre = float(positive.mean() + negative.mean()) / 2
    spread = float(np.std(values))
    if spread <= 1e-9 * max(1.0, abs(centre)):  # rounding, which is no evidence
        return Calibration(1.0, -centre)
    slope, intercept = _regression((positive - centre) / spread, (negative - centre) / spread, prior)
    if slope < LEAST_SLOPE:
        slope, intercept = LEAST_SLOPE, odds
    return Calibration(slope / spread, intercept - odds - slope * centre / spread)


def _regression(
    positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64], prior: float
) -> tuple[float, float]:
    """Slope and intercept of the log-odds of bona fide, by weighted logistic regression as `fit` describes it."""
    from sklearn.linear_model import LogisticRegression  # a slow import that only exports need

    unseen_positive, unseen_negative = 1 / (positive.size + 2), 1 / (negative.size + 2)
    # Each utterance twice, of its class and of the other: the groups, their class, and what each weighs together.
    groups = (
        (positive, 1, prior * (1 - unseen_positive)),
        (negative, 1, prior * unseen_positive),
        (negative, 0, (1 - prior) * (1 - unseen_negative)),
        (positive, 0, (1 - prior) * unseen_negative),
    )
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.concatenate([values for values, _, _ in groups])[:, None],
        np.concatenate([np.full(values.size, label) for values, label, _ in groups]),
        sample_weight=np.concatenate([np.full(values.size, weight / values.size) for values, _, weight in groups]),
    )
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _logit(prior: float) -> float:
    if not 0 < prior < 1:
        raise ValueError(f"a prior must be a number between 0 and 1, both excluded; got {prior}")
    return math.log(prior / (1 - prior))
