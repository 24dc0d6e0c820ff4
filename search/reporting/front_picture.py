"""The figure of the Pareto front as a PNG for papers and READMEs. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from search.reporting.front_curves import Curve, draw_curves
from search.reporting.plan_words import count_text
from search.reporting.tables import DetectorResult

BLUE, GREY, DARK = "#1f5fa8", "#8a8f98", "#22262b"
MARKERS: Mapping[str, tuple[str, str]] = {"base": ("s", DARK), "paper": ("D", "#c4541a"), "control": ("^", "#2b8a55")}
"""Marker and colour of the base and of recipes; other recipes have `OTHER`."""
OTHER = ("v", "#8b4a9c")
PNG_DPI = 160
LABEL_OFFSETS = (
    *((10, 0, "left", "center"), (-10, 0, "right", "center"), (0, 10, "center", "bottom"), (0, -10, "center", "top")),
    *((10, 8, "left", "bottom"), (10, -8, "left", "top"), (-10, 8, "right", "bottom"), (-10, -8, "right", "top")),
    *((14, 26, "left", "bottom"), (-14, -26, "right", "top")),
)
"""Positions of a label relative to its marker: offset in points and alignment, in order of preference."""


@dataclass(frozen=True)
class Caption:
    """Texts above and below the figure.

    Attributes:
        title: space, model and corpus.
        subtitle: a second line in small type.
        warning: a warning about the corpus, or an empty text.
    """

    title: str
    subtitle: str
    warning: str = ""


@dataclass(frozen=True)
class Point:
    """A detector of the figure.

    Attributes:
        name: its number on the front, the recipe's name, or ``base``.
        size: number of parameters.
        eer: on dev, a fraction.
        on_front: whether it is a member of the front.
        interval: 95 % interval of the EER; ``None`` where it is not known.
        recipe: name of a member's recipe, which is written beside it.
    """

    name: str
    size: int
    eer: float
    on_front: bool
    interval: tuple[float, float] | None = None
    recipe: str | None = None


def draw_front(
    path: Path, results: Iterable[DetectorResult], trials: Iterable[tuple[int, float]], caption: Caption
) -> None:
    """Write `front_figure` of an export's results as a PNG."""
    points = [
        Point(
            r.member.name, r.size, r.eer_dev, r.folder is not None, r.dev.interval if r.dev else None, r.member.recipe
        )
        for r in results
    ]
    front_figure(points, trials, caption).savefig(path, dpi=PNG_DPI)


def front_figure(
    shown: Sequence[Point], trials: Iterable[tuple[int, float]], caption: Caption, curves: Sequence[Curve] = ()
) -> Figure:
    """Dev EER against size: the front as a step line, recipes and base with labels, all trials as faint points.

    Args:
        shown: the front, smallest first, then recipes and base; at least one member of the front.
        trials: size and EER of all trials.
        caption: title, subtitle and warning.
        curves: EERs of the front on other corpora than dev.
    """
    front = [one for one in shown if one.on_front]
    references = [one for one in shown if not one.on_front]
    points = list(trials)
    eers = [*(one.eer for one in shown), *(one.highest for one in curves)]
    top = largest_eer_shown(eers, [eer for _, eer in points])
    sizes = [one.size for one in shown] + [size for size, eer in points if eer <= top]
    with matplotlib.rc_context({"font.size": 10, "axes.edgecolor": GREY, "text.color": DARK, "axes.labelcolor": DARK}):
        figure = Figure(figsize=(8, 6.4 if curves else 5.2), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _format_axes(axes, sizes, min([*(one.eer for one in shown), *(one.lowest for one in curves)]), top)
        axes.scatter(
            [size for size, _ in points], [100 * eer for _, eer in points], s=22, color=GREY, alpha=0.35, lw=0, zorder=2
        )
        _draw_step_line(axes, front)
        for one in references:
            marker, colour = MARKERS.get(one.name, OTHER)
            # Hollow, so that overlapping markers are all visible.
            axes.scatter(
                [one.size],
                [100 * one.eer],
                s=64,
                marker=marker,
                facecolor="none",
                edgecolor=colour,
                lw=1.8,
                zorder=5,
            )
        if curves:
            axes.set_ylabel("EER, %")
            draw_curves(figure, axes, curves, main=axes.lines[0], main_name="dev (points: all trials)")
        _add_texts(figure, axes, caption, sum(eer > top for _, eer in points))
        canvas.draw()
        _add_labels(axes, canvas, front, references, [point for one in curves for point in one.points])
    return figure


def largest_eer_shown(labelled: Sequence[float], trials: Sequence[float]) -> float:
    """Upper limit of the EER axis: all labelled detectors, and trials of at most twice their largest EER."""
    limit = 2 * max(*labelled, 0.005)
    return 1.12 * max(*labelled, *(eer for eer in trials if eer <= limit), 0.005)


def _format_axes(axes: Axes, sizes: Sequence[int], best: float, top: float) -> None:
    low, high = min(sizes), max(sizes)
    margin = max(1.06, (high / low) ** 0.08)
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(size_locator(low, high))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count_text(value)))
    # From zero, unless most of the figure would be empty.
    bottom = -0.02 * top if best < 0.4 * top else best - 0.5 * (top - best)
    axes.set_ylim(100 * bottom, 100 * top)
    axes.set_xlabel("parameters (logarithmic)")
    axes.set_ylabel("EER on dev, %")
    style_axes(axes)


def style_axes(axes: Axes) -> None:
    """A pale grid behind what is drawn, no ticks, and no frame at the top and on the right."""
    axes.grid(color="#e6e8eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=DARK)
    axes.spines[["top", "right"]].set_visible(False)


def size_locator(low: float, high: float) -> Locator:
    """Tick locator of a logarithmic axis of parameters.

    Within one decade a logarithmic locator finds hardly any round number, so a linear one places the ticks.
    """
    return LogLocator(subs=(1, 2, 5)) if high / low > 12 else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])


def _draw_step_line(axes: Axes, front: Sequence[Point]) -> None:
    """The boundary of the region that the front dominates, which lies above and to the right of it."""
    x = [front[0].size, *(one.size for one in front), axes.get_xlim()[1]]
    y = [axes.get_ylim()[1], *(100 * one.eer for one in front), 100 * front[-1].eer]
    axes.plot(x, y, drawstyle="steps-post", color=BLUE, lw=1.6, zorder=3)
    axes.fill_between(x, y, axes.get_ylim()[1], step="post", color=BLUE, alpha=0.05, lw=0, zorder=1)
    for one in front:
        if one.interval is not None:
            axes.plot([one.size] * 2, [100 * end for end in one.interval], color=BLUE, alpha=0.4, lw=1, zorder=4)
    axes.scatter(
        [one.size for one in front],
        [100 * one.eer for one in front],
        s=150,
        color=BLUE,
        edgecolor="white",
        lw=1,
        zorder=6,
    )
    for one in front:
        axes.annotate(
            one.name,
            (one.size, 100 * one.eer),
            color="white",
            fontsize=8,
            ha="center",
            va="center_baseline",
            zorder=7,
        )


def _add_texts(figure: Figure, axes: Axes, caption: Caption, hidden: int) -> None:
    """Title and subtitle above; below the number of trials beyond the EER axis, and the warning."""
    axes.set_title(caption.title, loc="left", pad=22, fontsize=12, fontweight="bold", parse_math=False)
    axes.annotate(caption.subtitle, (0, 1), (0, 7), "axes fraction", "offset points", fontsize=9, color=GREY)
    below = [f"trials above the axis: {hidden}"] if hidden else []
    if caption.warning:
        below.append(caption.warning)
    figure.supxlabel("; ".join(below), x=0.015, ha="left", fontsize=8, color=MARKERS["paper"][1], parse_math=False)


def _add_labels(
    axes: Axes,
    canvas: FigureCanvasAgg,
    front: Sequence[Point],
    references: Sequence[Point],
    others: Sequence[tuple[int, float]],
) -> None:
    """Label recipes and base, each at the first of `LABEL_OFFSETS` that overlaps nothing.

    `others` are size and EER of further markers.
    """
    points = [*((one.size, one.eer) for one in (*front, *references)), *others]
    occupied = _occupied(axes, canvas.figure.dpi / 72 * 7, points, len(front))
    recipes = [(one, one.recipe, BLUE) for one in front if one.recipe]
    named = [(one, one.name, MARKERS.get(one.name, OTHER)[1]) for one in references]
    frame = axes.get_window_extent()
    for one, name, colour in [*recipes, *named]:
        for number, (dx, dy, horizontal, vertical) in enumerate(LABEL_OFFSETS, 1):
            text = axes.annotate(
                name,
                (one.size, 100 * one.eer),
                (dx, dy),
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                color=colour,
                fontsize=9,
                zorder=8,
            )
            box = text.get_window_extent(canvas.get_renderer())
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if number == len(LABEL_OFFSETS) or (inside and not any(box.overlaps(other) for other in occupied)):
                break
            text.remove()
        occupied.append(box)


def _occupied(axes: Axes, radius: float, markers: Sequence[tuple[int, float]], front: int) -> list[Bbox]:
    """Boxes in pixels around the markers, and along the step line through the first `front` of them."""
    points = axes.transData.transform([(size, 100 * eer) for size, eer in markers])
    boxes = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    frame = axes.get_window_extent()
    steps = points[:front]
    boxes.append(Bbox.from_extents(steps[0][0] - 1, steps[0][1], steps[0][0] + 1, frame.y1))
    for (x, y), (right, below) in zip(steps, [*steps[1:], (frame.x1, None)], strict=True):
        boxes.append(Bbox.from_extents(x, y - 1, right, y + 1))
        if below is not None:
            boxes.append(Bbox.from_extents(right - 1, below, right + 1, y))
    return boxes
