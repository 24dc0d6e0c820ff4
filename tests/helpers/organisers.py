"""Scores by formula, and what the public packages of ASVspoof 2019, 2021 and 5 gave for them."""

from __future__ import annotations

import numpy as np

from trainables.metrics.asv_scores import AsvScores

GOLDEN, PLASTIC, ROOT = 0.6180339887498949, 0.7548776662466927, 0.41421356237309515
"""Fractions whose multiples, taken modulo 1, are spread evenly and never equal."""

FIGURES = {
    (3, 2): {
        **{"eer": 0.41666666666666663, "tdcf_2019": 0.5, "tdcf_2021": 0.5433789954337899},
        **{"min_dcf": 0.5, "actual_dcf": 0.5, "cllr": 0.6448534742243385},
    },
    (7, 11): {
        **{"eer": 0.2792207792207792, "tdcf_2019": 0.5454545454545454, "tdcf_2021": 0.6746393919927919},
        **{"min_dcf": 0.5428571428571424, "actual_dcf": 0.6350649350649351, "cllr": 0.6155677125820702},
    },
    (30, 70): {
        **{"eer": 0.26190476190476186, "tdcf_2019": 0.6686939484126985, "tdcf_2021": 0.7784330555921841},
        **{"min_dcf": 0.5961904761904759, "actual_dcf": 0.6961904761904761, "cllr": 0.7209717676290858},
    },
    (300, 300): {
        **{"eer": 0.25666666666666665, "tdcf_2019": 0.794122388888889, "tdcf_2021": 0.8684343324966538},
        **{"min_dcf": 0.6966666666666663, "actual_dcf": 0.7133333333333334, "cllr": 0.796962075893525},
    },
    (101, 997): {
        **{"eer": 0.2575995312670685, "tdcf_2019": 0.7790492210956301, "tdcf_2021": 0.8597620211645498},
        **{"min_dcf": 0.6811305202736921, "actual_dcf": 0.7019265717945917, "cllr": 0.8032179954049151},
    },
}
"""By numbers of bona fide utterances and spoofs of `detector`; min t-DCF with the ASV of `VERIFICATIONS`."""
VERIFICATIONS = {
    (3, 2): (4, 3, 3),
    (7, 11): (9, 13, 5),
    (30, 70): (40, 60, 50),
    (300, 300): (300, 300, 300),
    (101, 997): (150, 800, 400),
}
"""Targets, nontargets and spoofs of `verifier` that belong to them."""


def detector(n_bonafide: int, n_spoof: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a countermeasure: of bona fide utterances, and of spoofs."""
    return _logistic(n_bonafide, GOLDEN, 1.2), _logistic(n_spoof, PLASTIC, -0.8, 0.9)


def verifier(n_target: int, n_nontarget: int, n_spoof: int, challenge: int) -> AsvScores:
    """Scores of a speaker verification."""
    target, nontarget = _logistic(n_target, ROOT, 1.4), _logistic(n_nontarget, GOLDEN, -1.5, 0.8)
    return AsvScores(target, nontarget, _logistic(n_spoof, PLASTIC, 0.2), challenge)


def _logistic(count: int, step: float, middle: float, scale: float = 1.0) -> np.ndarray:
    """Quantiles of a logistic distribution, at multiples of a step."""
    share = (np.arange(1, count + 1) * step) % 1.0
    return middle + scale * np.log(share / (1 - share))
