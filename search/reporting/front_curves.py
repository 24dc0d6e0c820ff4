"""EERs of a front on other corpora than dev, as further lines in the picture of the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLOURS = ("#c4541a", "#2b8a55", "#8b4a9c", "#0e8593", "#8a6d00", "#c2307a")
"""Of the lines; page.css has the same for the figure of the page."""
MARKERS = ("s", "D", "^", "v", "P", "X")
"""Of the points; dev has circles."""
DASHES = ("-", "--", ":", "-.")
LEGEND_COLUMNS = 3


@dataclass(frozen=True)
class Curve:
    """EERs of detectors on a corpus.

    Attributes:
        name: of the corpus.
        points: size and EER (a fraction) of each detector, smallest first; at least one.
        intervals: 95 % interval of each EER; ``None`` where it is not known.
    """

    name: str
    points: Sequence[tuple[int, float]]
    intervals: Sequence[tuple[float, float] | None]

    @property
    def highest(self) -> float:
        """The highest end of an interval, or EER."""
        eers = [eer for _, eer in self.points]
        return max([*eers, *(interval[1] for interval in self.intervals if interval is not None)])

    @property
    def lowest(self) -> float:
        """The lowest EER."""
        return min(eer for _, eer in self.points)


def draw_curves(figure: Figure, axes: Axes, curves: Sequence[Curve], *, main: Line2D, main_name: str) -> None:
    """Draw a line with markers and thin bars of the intervals for each curve, and a legend below the axes.

    Args:
        figure: that `axes` is in.
        axes: sizes by EER in percent.
        curves: in the order of the legend.
        main: a line that is drawn already, which comes first in the legend.
        main_name: its name there.
    """
    lines = [main]
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        lines += axes.plot(
            [size for size, _ in curve.points],
            [100 * eer for _, eer in curve.points],
            color=colour,
            lw=1.4,
            ls=DASHES[index // len(COLOURS) % len(DASHES)],
            marker=MARKERS[index % len(MARKERS)],
            ms=5,
            zorder=4,
        )
        for (size, _), interval in zip(curve.points, curve.intervals, strict=True):
            if interval is not None:
                axes.plot([size] * 2, [100 * end for end in interval], color=colour, alpha=0.45, lw=1, zorder=3)
    legend = figure.legend(
        lines,
        [main_name, *(curve.name for curve in curves)],
        loc="outside lower left",
        ncols=LEGEND_COLUMNS,
        frameon=False,
        fontsize=9,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
