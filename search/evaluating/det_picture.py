"""The detection error tradeoff (DET) of detectors on a split, as a PNG: miss rate against false alarm rate.

Both axes are probits, on which scores that are normally distributed in each class give straight lines (A. Martin et
al., "The DET Curve in Assessment of Detection Task Performance", Eurospeech 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.special import ndtr, ndtri

from search.reporting.evaluations import EvaluatedCorpus, Measures
from search.reporting.front_picture import DARK, GREY, MARKERS, PNG_DPI, style_axes
from trainables.metrics.eer import error_counts

MOST = 10
"""More curves cannot be told apart."""
TICKS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
COLOURS = (
    *("#1f5fa8", "#c4541a", "#2b8a55", "#8b4a9c", "#b8860b"),
    *("#008b9a", "#c0396b", "#6b7a1f", "#5a4a3a", "#7f7f7f"),
)
POINTS = 2000
"""Most points of a drawn curve, far more than it has pixels."""
BEYOND = 1e-9
"""Rates of 0 and 1 have no probit; they are drawn as these, beyond the axes."""


@dataclass(frozen=True)
class Curve:
    """A detector to draw.

    Attributes:
        name: in the legend.
        scores: ``[n]``, higher for bona fide; NaN where there is none.
        measures: its errors on all of these.
    """

    name: str
    scores: npt.NDArray[np.float64]
    measures: Measures


def draw_det(path: Path, curves: Sequence[Curve], labels: npt.NDArray[np.int64], corpus: EvaluatedCorpus) -> None:
    """Write `det_figure` as a PNG."""
    # Tight, since axes of equal units leave their room as they please, and names may be long.
    det_figure(curves, labels, corpus).savefig(path, dpi=PNG_DPI, bbox_inches="tight", pad_inches=0.15)


def det_figure(curves: Sequence[Curve], labels: npt.NDArray[np.int64], corpus: EvaluatedCorpus) -> Figure:
    """DET curves with the EER (circle) and the errors at the detector's own threshold (cross) marked.

    Args:
        curves: at least one; of more than `MOST` those with the lowest EER are drawn, and the picture says so.
        labels: ``[n]``, 1 for bona fide and 0 for spoof.
        corpus: what it is about.
    """
    best = sorted(range(len(curves)), key=lambda place: curves[place].measures.eer or 0.0)[:MOST]
    drawn = [curves[place] for place in sorted(best)]
    low, high = _limits(drawn)
    with matplotlib.rc_context({"font.size": 10, "axes.edgecolor": GREY, "text.color": DARK, "axes.labelcolor": DARK}):
        figure = Figure(figsize=(8, 5.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _format_axes(axes, low, high)
        axes.plot([ndtri(low), ndtri(high)], [ndtri(low), ndtri(high)], color=GREY, lw=0.8, ls=(0, (4, 4)), zorder=1)
        for curve, colour in zip(drawn, COLOURS, strict=False):
            _draw(axes, curve, labels, colour, (low, high))
        _add_legend(figure, drawn)
        _add_texts(figure, axes, corpus, drawn[0].measures, len(curves))
    return figure


def rates(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """False alarm rate and miss rate at every threshold that makes a difference, from the lowest; NaN is left out."""
    scored = ~np.isnan(scores)
    _, misses, false_alarms = error_counts(scores[scored & (labels == 1)], scores[scored & (labels == 0)])
    return false_alarms / false_alarms[0], misses / misses[-1]


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Least and largest rate of both axes: they hold every mark, and as little as an error of one utterance."""
    counts = [min(one.measures.bonafide, one.measures.spoof) for one in curves]
    marks = [
        rate for one in curves for rate in (one.measures.eer, one.measures.misses, one.measures.false_alarms) if rate
    ]
    low = min(0.05, max(0.0001, min([0.5 / max(counts), *(0.5 * rate for rate in marks)])))
    high = min(0.9995, max([0.6, *(float(ndtr(ndtri(min(rate, 0.999)) + 0.25)) for rate in marks)]))
    return low, high


def _format_axes(axes: Axes, low: float, high: float) -> None:
    ticks = [tick for tick in TICKS if low <= tick <= high]
    for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        set_limits(float(ndtri(low)), float(ndtri(high)))
        axis.set_major_locator(FixedLocator([float(ndtri(tick)) for tick in ticks]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda place, _: f"{100 * float(ndtr(place)):.4g}"))
    axes.set_aspect("equal")
    axes.set_xlabel("false alarm rate: spoofs accepted, %")
    axes.set_ylabel("miss rate: bona fide speech rejected, %")
    style_axes(axes)


def _draw(axes: Axes, curve: Curve, labels: npt.NDArray[np.int64], colour: str, limits: tuple[float, float]) -> None:
    """A curve with its marks; a mark beyond the axes is drawn at their ends."""

    def mark(x: float | None, y: float | None, marker: str) -> None:
        if x is not None and y is not None:
            at = ndtri(np.clip([[x], [y]], *limits))
            axes.plot(*at, marker, color=colour, markersize=7.5, markeredgecolor="white", clip_on=False, zorder=5)

    false_alarms, misses = (ndtri(np.clip(rate, BEYOND, 1 - BEYOND)) for rate in rates(curve.scores, labels))
    kept = np.unique(np.linspace(0, len(misses) - 1, min(POINTS, len(misses))).round().astype(int))
    axes.plot(false_alarms[kept], misses[kept], color=colour, lw=1.5, zorder=3)
    mark(curve.measures.eer, curve.measures.eer, "o")
    mark(curve.measures.false_alarms, curve.measures.misses, "X")


def _add_legend(figure: Figure, curves: Sequence[Curve]) -> None:
    lines = [
        Line2D([], [], color=colour, lw=1.5, label=f"{one.name}, EER {100 * (one.measures.eer or 0):.2f} %")
        for one, colour in zip(curves, COLOURS, strict=False)
    ]
    marks = [
        Line2D([], [], color=DARK, lw=0, marker="o", markersize=6, label="EER"),
        Line2D([], [], color=DARK, lw=0, marker="X", markersize=7, label="at the detector's own threshold"),
    ]
    # Outside of the axes, which then leave room for it, however long names are.
    legend = figure.legend(handles=[*lines, *marks], loc="outside right upper", frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _add_texts(figure: Figure, axes: Axes, corpus: EvaluatedCorpus, measures: Measures, detectors: int) -> None:
    subset = f", subset {corpus.subset}" if corpus.subset else ""
    title = f"{corpus.name}, {corpus.split}{subset}"
    axes.set_title(title, loc="left", pad=22, fontsize=12, fontweight="bold", parse_math=False)
    facts = f"{measures.bonafide:,} bona fide utterances, {measures.spoof:,} spoofs"
    if detectors > MOST:
        facts += f"; the {MOST} of {detectors} detectors with the lowest EER"
    axes.annotate(facts, (0, 1), (0, 7), "axes fraction", "offset points", fontsize=9, color=GREY)
    if corpus.note:
        figure.supxlabel(corpus.note, x=0.015, ha="left", fontsize=8, color=MARKERS["paper"][1], parse_math=False)
