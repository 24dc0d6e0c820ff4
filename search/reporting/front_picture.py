"""The front as a picture for papers and READMEs. What is shown is handed in; nothing is measured here."""

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
from search.reporting.tables import Entry

BLUE, GREY, DARK = "#1f5fa8", "#8a8f98", "#22262b"
MARKS: Mapping[str, tuple[str, str]] = {"base": ("s", DARK), "paper": ("D", "#c4541a"), "control": ("^", "#2b8a55")}
"""Marker and colour of what the front is compared with; other recipes get `OTHER`."""
OTHER = ("v", "#8b4a9c")
PNG_DPI = 160
PLACES = (
    *((10, 0, "left", "center"), (-10, 0, "right", "center"), (0, 10, "center", "bottom"), (0, -10, "center", "top")),
    *((10, 8, "left", "bottom"), (10, -8, "left", "top"), (-10, 8, "right", "bottom"), (-10, -8, "right", "top")),
    *((14, 26, "left", "bottom"), (-14, -26, "right", "top")),
)
"""Where a name may stand beside its mark: offset in points and alignment, best first."""


@dataclass(frozen=True)
class Caption:
    """What stands over and under a picture.

    Attributes:
        title: what was searched on what.
        facts: a second line in small type.
        warning: what a reader has to know about the corpus, or nothing.
    """

    title: str
    facts: str
    warning: str = ""


def draw_front(path: Path, entries: Sequence[Entry], trials: Iterable[tuple[int, float]], caption: Caption) -> None:
    """Write `front_figure` as a PNG."""
    front_figure(entries, trials, caption).savefig(path, dpi=PNG_DPI)


def front_figure(entries: Sequence[Entry], trials: Iterable[tuple[int, float]], caption: Caption) -> Figure:
    """Dev EER against size: the front as a staircase, what it is compared with by name, all trials faint.

    Args:
        entries: the front, smallest first, and what it is compared with; at least one member of the front.
        trials: size and EER of all trials.
        caption: what to write around it.
    """
    front = [entry for entry in entries if entry.detector is not None]
    others = [entry for entry in entries if entry.detector is None]
    cloud = list(trials)
    top = top_of([entry.eer_dev for entry in entries], [eer for _, eer in cloud])
    sizes = [entry.size for entry in entries] + [size for size, eer in cloud if eer <= top]
    with matplotlib.rc_context({"font.size": 10, "axes.edgecolor": GREY, "text.color": DARK, "axes.labelcolor": DARK}):
        figure = Figure(figsize=(8, 5.2), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _axes(axes, sizes, min(entry.eer_dev for entry in entries), top)
        axes.scatter(
            [size for size, _ in cloud], [100 * eer for _, eer in cloud], s=22, color=GREY, alpha=0.35, lw=0, zorder=2
        )
        _staircase(axes, front)
        for entry in others:
            marker, colour = MARKS.get(entry.member.name, OTHER)
            # Hollow: where two of them meet, both are seen.
            axes.scatter(
                [entry.size],
                [100 * entry.eer_dev],
                s=64,
                marker=marker,
                facecolor="none",
                edgecolor=colour,
                lw=1.8,
                zorder=5,
            )
        _write_around(figure, axes, caption, sum(eer > top for _, eer in cloud))
        canvas.draw()
        _label(axes, canvas, front, others)
    return figure


def top_of(shown: Sequence[float], trials: Sequence[float]) -> float:
    """Up to which EER the picture reaches: all that has a name, and the trials that are at most twice as bad."""
    limit = 2 * max(*shown, 0.005)
    return 1.12 * max(*shown, *(eer for eer in trials if eer <= limit), 0.005)


def _axes(axes: Axes, sizes: Sequence[int], best: float, top: float) -> None:
    low, high = min(sizes), max(sizes)
    margin = max(1.06, (high / low) ** 0.08)
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(size_locator(low, high))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count_text(value)))
    # From zero, unless most of the picture were empty.
    bottom = -0.02 * top if best < 0.4 * top else best - 0.5 * (top - best)
    axes.set_ylim(100 * bottom, 100 * top)
    axes.set_xlabel("parameters (logarithmic)")
    axes.set_ylabel("EER on dev, %")
    axes.grid(color="#e6e8eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=DARK)
    axes.spines[["top", "right"]].set_visible(False)


def size_locator(low: float, high: float) -> Locator:
    """Where a logarithmic axis of parameters has its numbers.

    Within a decade it has hardly a round number: round numbers of a linear one, where they belong.
    """
    return LogLocator(subs=(1, 2, 5)) if high / low > 12 else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])


def _staircase(axes: Axes, front: Sequence[Entry]) -> None:
    """What the front dominates lies above and to the right of this line."""
    x = [front[0].size, *(entry.size for entry in front), axes.get_xlim()[1]]
    y = [axes.get_ylim()[1], *(100 * entry.eer_dev for entry in front), 100 * front[-1].eer_dev]
    axes.plot(x, y, drawstyle="steps-post", color=BLUE, lw=1.6, zorder=3)
    axes.fill_between(x, y, axes.get_ylim()[1], step="post", color=BLUE, alpha=0.05, lw=0, zorder=1)
    for entry in front:
        if entry.dev is not None:
            axes.plot(
                [entry.size] * 2, [100 * end for end in entry.dev.interval], color=BLUE, alpha=0.4, lw=1, zorder=4
            )
    axes.scatter(
        [entry.size for entry in front],
        [100 * entry.eer_dev for entry in front],
        s=150,
        color=BLUE,
        edgecolor="white",
        lw=1,
        zorder=6,
    )
    for entry in front:
        axes.annotate(
            entry.member.name,
            (entry.size, 100 * entry.eer_dev),
            color="white",
            fontsize=8,
            ha="center",
            va="center_baseline",
            zorder=7,
        )


def _write_around(figure: Figure, axes: Axes, caption: Caption, above: int) -> None:
    axes.set_title(caption.title, loc="left", pad=22, fontsize=12, fontweight="bold", parse_math=False)
    axes.annotate(caption.facts, (0, 1), (0, 7), "axes fraction", "offset points", fontsize=9, color=GREY)
    under = [f"trials above the picture: {above}"] if above else []
    if caption.warning:
        under.append(caption.warning)
    figure.supxlabel("; ".join(under), x=0.015, ha="left", fontsize=8, color=MARKS["paper"][1], parse_math=False)


def _label(axes: Axes, canvas: FigureCanvasAgg, front: Sequence[Entry], others: Sequence[Entry]) -> None:
    """Names beside what has one, each at the first place around its mark that nothing else takes."""
    taken = _taken(axes, canvas.figure.dpi / 72 * 7, front, others)
    recipes = [(entry, entry.member.recipe, BLUE) for entry in front if entry.member.recipe]
    named = [(entry, entry.member.name, MARKS.get(entry.member.name, OTHER)[1]) for entry in others]
    frame = axes.get_window_extent()
    for entry, name, colour in [*recipes, *named]:
        for number, (dx, dy, horizontal, vertical) in enumerate(PLACES, 1):
            text = axes.annotate(
                name,
                (entry.size, 100 * entry.eer_dev),
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
            if number == len(PLACES) or (inside and not any(box.overlaps(other) for other in taken)):
                break
            text.remove()
        taken.append(box)


def _taken(axes: Axes, radius: float, front: Sequence[Entry], others: Sequence[Entry]) -> list[Bbox]:
    """Boxes in pixels around the marks and along the staircase."""
    points = axes.transData.transform([(entry.size, 100 * entry.eer_dev) for entry in (*front, *others)])
    found = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    frame = axes.get_window_extent()
    stairs = points[: len(front)]
    found.append(Bbox.from_extents(stairs[0][0] - 1, stairs[0][1], stairs[0][0] + 1, frame.y1))
    for (x, y), (right, below) in zip(stairs, [*stairs[1:], (frame.x1, None)], strict=True):
        found.append(Bbox.from_extents(x, y - 1, right, y + 1))
        if below is not None:
            found.append(Bbox.from_extents(right - 1, below, right + 1, y))
    return found
