from __future__ import annotations

import numpy as np
import pytest

from search.reporting.evaluation import Evaluation
from trainables.metrics.tdcf import AsvScores, min_tdcf

SCORES = np.array([3.0, 1.0, -1.0, 2.0, 0.0, -2.0, -3.0, -4.0])
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0])
ATTACKS = np.array(["-", "-", "-", "-", "A02", "A01", "A01", "A01"], dtype=object)


def test_hand_worked() -> None:
    found = Evaluation.of(SCORES, LABELS, ATTACKS, threshold=-2.0)
    # In all: at -1.0 nothing is missed and A02's one spoof of 4 accepted; at 0.0, 1/4 and 1/4.
    assert found.eer == 0.25
    assert dict(found.by_attack) == {"A01": 0.0, "A02": pytest.approx(0.25 / 2)}
    assert list(found.by_attack) == ["A01", "A02"]
    assert (found.misses, found.false_alarms) == (0.0, 0.5)
    assert found.min_tdcf is None


def test_a_score_at_the_threshold_is_accepted() -> None:
    found = Evaluation.of(SCORES, LABELS, ATTACKS, threshold=1.0)
    assert (found.misses, found.false_alarms) == (0.25, 0.0)


def test_the_order_of_utterances_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(SCORES))
    shuffled = Evaluation.of(SCORES[order], LABELS[order], ATTACKS[order], threshold=0.5)
    assert shuffled == Evaluation.of(SCORES, LABELS, ATTACKS, threshold=0.5)


def test_speaker_verification_gives_a_cost() -> None:
    asv = AsvScores(np.array([2.0, 3.0]), np.array([-1.0, 0.0]), np.array([2.5, 1.0]))
    found = Evaluation.of(SCORES, LABELS, ATTACKS, 0.0, asv)
    assert found.min_tdcf == min_tdcf(SCORES[:4], SCORES[4:], asv)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="spoof scores must be a non-empty array"):
        Evaluation.of(SCORES[:4], LABELS[:4], ATTACKS[:4], 0.0)
