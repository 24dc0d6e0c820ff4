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


def draw_front(
    path: Path, results: Sequence[DetectorResult], trials: Iterable[tuple[int, float]], caption: Caption
) -> None:
    """Write `front_figure` as a PNG."""
    front_figure(results, trials, caption).savefig(path, dpi=PNG_DPI)


def front_figure(results: Sequence[DetectorResult], trials: Iterable[tuple[int, float]], caption: Caption) -> Figure:
    """Dev EER against size: the front as a step line, recipes and base with labels, all trials as faint points.

    Args:
        results: the front, smallest first, then recipes and base; at least one member of the front.
        trials: size and EER of all trials.
        caption: title, subtitle and warning.
    """
    front = [result for result in results if result.folder is not None]
    references = [result for result in results if result.folder is None]
    points = list(trials)
    top = largest_eer_shown([result.eer_dev for result in results], [eer for _, eer in points])
    sizes = [result.size for result in results] + [size for size, eer in points if eer <= top]
    with matplotlib.rc_context({"font.size": 10, "axes.edgecolor": GREY, "text.color": DARK, "axes.labelcolor": DARK}):
        figure = Figure(figsize=(8, 5.2), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _format_axes(axes, sizes, min(result.eer_dev for result in results), top)
        axes.scatter(
            [size for size, _ in points], [100 * eer for _, eer in points], s=22, color=GREY, alpha=0.35, lw=0, zorder=2
        )
        _draw_step_line(axes, front)
        for result in references:
            marker, colour = MARKERS.get(result.member.name, OTHER)
            # Hollow, so that overlapping markers are all visible.
            axes.scatter(
                [result.size],
                [100 * result.eer_dev],
                s=64,
                marker=marker,
                facecolor="none",
                edgecolor=colour,
                lw=1.8,
                zorder=5,
            )
        _add_texts(figure, axes, caption, sum(eer > top for _, eer in points))
        canvas.draw()
        _add_labels(axes, canvas, front, references)
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
    axes.grid(color="#e6e8eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=DARK)
    axes.spines[["top", "right"]].set_visible(False)


def size_locator(low: float, high: float) -> Locator:
    """Tick locator of a logarithmic axis of parameters.

    Within one decade a logarithmic locator finds hardly any round number, so a linear one places the ticks.
    """
    return LogLocator(subs=(1, 2, 5)) if high / low > 12 else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])


def _draw_step_line(axes: Axes, front: Sequence[DetectorResult]) -> None:
    """The boundary of the region that the front dominates, which lies above and to the right of it."""
    x = [front[0].size, *(result.size for result in front), axes.get_xlim()[1]]
    y = [axes.get_ylim()[1], *(100 * result.eer_dev for result in front), 100 * front[-1].eer_dev]
    axes.plot(x, y, drawstyle="steps-post", color=BLUE, lw=1.6, zorder=3)
    axes.fill_between(x, y, axes.get_ylim()[1], step="post", color=BLUE, alpha=0.05, lw=0, zorder=1)
    for result in front:
        if result.dev is not None:
            axes.plot(
                [result.size] * 2, [100 * end for end in result.dev.interval], color=BLUE, alpha=0.4, lw=1, zorder=4
            )
    axes.scatter(
        [result.size for result in front],
        [100 * result.eer_dev for result in front],
        s=150,
        color=BLUE,
        edgecolor="white",
        lw=1,
        zorder=6,
    )
    for result in front:
        axes.annotate(
            result.member.name,
            (result.size, 100 * result.eer_dev),
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
    axes: Axes, canvas: FigureCanvasAgg, front: Sequence[DetectorResult], references: Sequence[DetectorResult]
) -> None:
    """Label recipes and base, each at the first of `LABEL_OFFSETS` that overlaps nothing."""
    occupied = _occupied(axes, canvas.figure.dpi / 72 * 7, front, references)
    recipes = [(result, result.member.recipe, BLUE) for result in front if result.member.recipe]
    named = [(result, result.member.name, MARKERS.get(result.member.name, OTHER)[1]) for result in references]
    frame = axes.get_window_extent()
    for result, name, colour in [*recipes, *named]:
        for number, (dx, dy, horizontal, vertical) in enumerate(LABEL_OFFSETS, 1):
            text = axes.annotate(
                name,
                (result.size, 100 * result.eer_dev),
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


def _occupied(
    axes: Axes, radius: float, front: Sequence[DetectorResult], references: Sequence[DetectorResult]
) -> list[Bbox]:
    """Boxes in pixels around the markers and along the step line."""
    points = axes.transData.transform([(result.size, 100 * result.eer_dev) for result in (*front, *references)])
    boxes = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    frame = axes.get_window_extent()
    steps = points[: len(front)]
    boxes.append(Bbox.from_extents(steps[0][0] - 1, steps[0][1], steps[0][0] + 1, frame.y1))
    for (x, y), (right, below) in zip(steps, [*steps[1:], (frame.x1, None)], strict=True):
        boxes.append(Bbox.from_extents(x, y - 1, right, y + 1))
        if below is not None:
            boxes.append(Bbox.from_extents(right - 1, below, right + 1, y))
    return boxes
