from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from search.evaluating.conditions import Condition
from search.evaluating.measures import measure, measure_by
from search.reporting.evaluations import Measures
from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.tdcf import min_tdcf

BONAFIDE, SPOOF = [1.0, 2.0, 3.0, -2.0], [-1.0, -3.0, 1.5, -4.0, -5.0]
SCORES = np.array(BONAFIDE + SPOOF)
LABELS = np.array([1] * 4 + [0] * 5)


def test_errors_by_hand() -> None:
    found = measure(SCORES, LABELS, threshold=0.0)
    # At a threshold of 0 one of four is missed and one of five accepted, and no threshold brings the rates closer.
    assert (found.misses, found.false_alarms) == (0.25, 0.2)
    assert found.hter == pytest.approx(0.225)
    assert found.eer == pytest.approx(0.225)
    # 1.9 P_miss + P_fa: 1.9 / 4 + 1 / 5 with the threshold between -1 and 1; at -2 it is 0 + 2 / 5, the least.
    assert found.min_dcf == pytest.approx(0.4)
    # At -ln 1.9 = -0.64: the miss of -2 and the false alarm of 1.5.
    assert found.actual_dcf == pytest.approx(1.9 / 4 + 1 / 5)
    bits = [sum(math.log2(1 + math.exp(sign * score)) for score in scores) / len(scores) for sign, scores in
            ((-1, BONAFIDE), (1, SPOOF))]  # fmt: skip
    assert found.cllr == pytest.approx(sum(bits) / 2)
    assert found.min_cllr is not None
    assert found.min_cllr < sum(bits) / 2
    assert found.interval is not None
    assert found.interval[0] <= 0.225 <= found.interval[1]
    assert (found.min_tdcf, found.bonafide, found.spoof) == (None, 4, 5)


def test_a_score_at_the_threshold_is_accepted() -> None:
    assert measure(SCORES, LABELS, 1.5).false_alarms == 0.2
    assert measure(SCORES, LABELS, 1.0).misses == 0.25


def test_utterances_without_a_score_are_left_out() -> None:
    scores, labels = np.insert(SCORES, [0, 4, 9], np.nan), np.insert(LABELS, [0, 4, 9], [1, 0, 0])
    assert measure(scores, labels, 0.0) == measure(SCORES, LABELS, 0.0)


def test_of_one_class_there_are_its_errors_at_the_threshold_only() -> None:
    known = {"misses": 0.25, "bonafide": 4, "spoof": 0}
    assert measure(SCORES[:4], LABELS[:4], 0.0) == measures(known)
    assert measure(SCORES[4:], LABELS[4:], 0.0) == measures({"false_alarms": 0.2, "bonafide": 0, "spoof": 5})
    assert measure(SCORES[:0], LABELS[:0], 0.0) == measures({"bonafide": 0, "spoof": 0})


def test_the_tandem_cost_is_there_with_scores_of_a_verification() -> None:
    asv = AsvScores(np.array([3.0, 2.0, 0.5]), np.array([1.0, -1.0, -2.0]), np.array([2.0, 1.2, -1.0]))
    assert measure(SCORES, LABELS, 0.0, asv).min_tdcf == min_tdcf(BONAFIDE, SPOOF, asv)


def test_a_value_of_a_condition_has_the_errors_of_its_utterances() -> None:
    codes = np.array([0, 0, 1, 1, 0, 0, 1, 1, 2], np.int32)
    codec = Condition("codec", ("alaw", "gsm", "opus"), codes, of_spoofs=False)
    attack = Condition("attack", ("-", "A07", "A08"), np.array([0, 0, 0, 0, 1, 1, 1, 2, 2], np.int32), of_spoofs=True)
    found = measure_by(SCORES, LABELS, 0.5, [codec, attack])
    alaw, a07 = [0, 1, 4, 5], [0, 1, 2, 3, 4, 5, 6]
    assert found["codec"]["alaw"] == measure(SCORES[alaw], LABELS[alaw], 0.5)
    assert found["codec"]["opus"].eer is None
    assert list(found["attack"]) == ["A07", "A08"]
    assert found["attack"]["A07"] == measure(SCORES[a07], LABELS[a07], 0.5)
    assert found["attack"]["A08"].bonafide == 4


def measures(known: dict[str, float]) -> Measures:
    return Measures(**{one.name: known.get(one.name) for one in fields(Measures)})  # type: ignore[arg-type]
