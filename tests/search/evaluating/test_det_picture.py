from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.special import ndtr, ndtri
from sklearn.metrics import det_curve

from search.evaluating.det_picture import MOST, Curve, det_figure, rates
from search.evaluating.measures import measure
from search.reporting.evaluations import EvaluatedCorpus

CORPUS = EvaluatedCorpus("in-the-wild", "0a", "", "eval")
LABELS = (np.arange(200) % 3 == 0).astype(np.int64)


def curve(name: str, shift: float, threshold: float = 0.5) -> Curve:
    scores = np.random.default_rng(0).normal(size=len(LABELS)) + shift * LABELS
    return Curve(name, scores, measure(scores, LABELS, threshold))


def axes_of(curves: list[Curve], corpus: EvaluatedCorpus = CORPUS) -> Axes:
    (axes,) = det_figure(curves, LABELS, corpus).axes
    return axes


def test_rates_are_those_of_scikit_learn() -> None:
    scores = np.round(curve("", 1.0).scores, 1)  # with ties
    false_alarms, misses = rates(np.append(scores, np.nan), np.append(LABELS, 1))
    expected_false_alarms, expected_misses, _ = det_curve(LABELS, scores)
    ours = {pair for pair in zip(false_alarms.tolist(), misses.tolist(), strict=True)}
    for pair in zip(expected_false_alarms, expected_misses, strict=True):
        assert any(pair == pytest.approx(one, abs=1e-12) for one in ours)
    assert (false_alarms[0], misses[0], false_alarms[-1], misses[-1]) == (1, 0, 0, 1)


def test_a_curve_goes_through_its_marks_on_probit_axes() -> None:
    one = curve("some", 1.5)
    diagonal, drawn, eer, own = (np.array(line.get_data(), dtype=float) for line in axes_of([one]).lines)
    assert diagonal[0].tolist() == diagonal[1].tolist()
    assert ndtr(eer).ravel().tolist() == pytest.approx([one.measures.eer] * 2)
    assert ndtr(own).ravel().tolist() == pytest.approx([one.measures.false_alarms, one.measures.misses])
    assert np.abs(drawn - own).sum(axis=0).min() == pytest.approx(0, abs=1e-9)


def test_marks_without_errors_stay_within_the_axes() -> None:
    axes = axes_of([curve("perfect", 40.0, threshold=20.0), curve("useless", 0.0, threshold=100.0)])
    (low, high), marks = axes.get_xlim(), [line for line in axes.lines if line.get_marker() in ("o", "X")]
    assert len(marks) == 4
    for line in marks:
        at = np.array(line.get_data(), dtype=float)
        assert ((low <= at) & (at <= high)).all()
    assert axes.get_ylim() == (low, high)
    assert low < ndtri(0.05)


def test_of_many_detectors_the_best_are_drawn_and_the_picture_says_so() -> None:
    curves = [curve(f"number {place}", shift) for place, shift in enumerate(np.linspace(0, 3, MOST + 3))]
    axes = axes_of(curves)
    figure = axes.figure
    assert figure is not None
    [legend] = figure.legends
    named = [text.get_text().split(",")[0] for text in legend.get_texts()]
    assert named[:MOST] == [f"number {place}" for place in range(3, MOST + 3)]
    assert len(named) == MOST + 2
    assert any(f"the {MOST} of {MOST + 3} detectors" in text.get_text() for text in axes.texts)


def test_names_and_notes_are_shown_as_they_are() -> None:
    corpus = EvaluatedCorpus("a $b$ c", "0a", "simulated $speech", "dev", "progress")
    figure = det_figure([curve("$x_1$", 1.0)], LABELS, corpus)
    figure.savefig("/dev/null", format="png")
    assert figure.axes[0].get_title(loc="left") == "a $b$ c, dev, subset progress"
    assert figure.get_supxlabel() == "simulated $speech"
