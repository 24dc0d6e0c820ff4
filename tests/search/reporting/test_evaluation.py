from __future__ import annotations

import numpy as np
import pytest

from search.reporting.evaluation import Evaluation
from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.cllr import cllr, min_cllr
from trainables.metrics.tdcf import min_tdcf

SCORES = np.array([3.0, 1.0, -1.0, 2.0, 0.0, -2.0, -3.0, -4.0])
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0])
ATTACKS = np.array(["-", "-", "-", "-", "A02", "A01", "A01", "A01"], dtype=object)


def test_hand_worked() -> None:
    evaluation = Evaluation.from_scores(SCORES, LABELS, ATTACKS, threshold=-2.0)
    # Overall: at -1.0 no miss, and 1 of 4 spoofs is a false alarm; at 0.0 both rates are 1/4.
    assert evaluation.eer == 0.25
    assert dict(evaluation.by_attack) == {"A01": 0.0, "A02": pytest.approx(0.25 / 2)}
    assert list(evaluation.by_attack) == ["A01", "A02"]
    assert (evaluation.misses, evaluation.false_alarms) == (0.0, 0.5)
    assert evaluation.hter == 0.25
    assert evaluation.min_tdcf is None
    # The best threshold is -1: no miss, 1 of 4 spoofs. -ln 1.9 = -0.64 lies above -1: 1 of 4 missed, 1 of 4 accepted.
    assert [evaluation.min_dcf, evaluation.actual_dcf] == pytest.approx([0.25, 2.9 / 4])
    assert (evaluation.cllr, evaluation.min_cllr) == (
        cllr(SCORES[:4], SCORES[4:]),
        min_cllr(SCORES[:4], SCORES[4:]),
    )


def test_a_score_at_the_threshold_is_accepted() -> None:
    evaluation = Evaluation.from_scores(SCORES, LABELS, ATTACKS, threshold=1.0)
    assert (evaluation.misses, evaluation.false_alarms) == (0.25, 0.0)


def test_the_order_of_utterances_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(SCORES))
    shuffled = Evaluation.from_scores(SCORES[order], LABELS[order], ATTACKS[order], threshold=0.5)
    assert shuffled == Evaluation.from_scores(SCORES, LABELS, ATTACKS, threshold=0.5)


def test_asv_scores_give_a_min_tdcf() -> None:
    asv = AsvScores(np.array([2.0, 3.0]), np.array([-1.0, 0.0]), np.array([2.5, 1.0]))
    evaluation = Evaluation.from_scores(SCORES, LABELS, ATTACKS, 0.0, asv)
    assert evaluation.min_tdcf == min_tdcf(SCORES[:4], SCORES[4:], asv)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="spoof scores must be a non-empty array"):
        Evaluation.from_scores(SCORES[:4], LABELS[:4], ATTACKS[:4], 0.0)
