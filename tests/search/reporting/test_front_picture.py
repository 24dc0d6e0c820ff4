from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from search.reporting.front_curves import COLOURS, Curve
from search.reporting.front_picture import Caption, Point, draw_front, front_figure
from search.reporting.tables import DetectorResult
from search.runs.front import front_of
from search.runs.members import Member
from search.runs.record import Record
from spaces.recipes import is_recipe

CAPTION = Caption("plasticity: resnet18 on demo", "12 trials ended", "simulated speech")


def record(number: int, eer: float, size: int, recipe: str | None = None) -> Record:
    return Record(number, "COMPLETE", recipe, {}, eer=eer, size=size)


def points_of_front(records: list[Record], base: tuple[float, int] | None = None) -> list[Point]:
    """The points of the front, the recipes and the base."""
    front = front_of(records)
    found = [
        Point(str(place), one.size or 0, one.eer or 0.0, True, recipe=one.recipe if is_recipe(one.recipe) else None)
        for place, one in enumerate(front)
    ]
    rest = [one for one in records if one not in front and is_recipe(one.recipe)]
    found += [Point(str(one.recipe), one.size or 0, one.eer or 0.0, False) for one in rest]
    if base is not None:
        found.append(Point("base", base[1], base[0], False))
    return found


def points(records: list[Record]) -> list[tuple[int, float]]:
    return [(one.size or 0, one.eer or 0.0) for one in records]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("seed", range(4))
def test_the_step_line_is_the_lowest_eer_at_no_more_parameters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trials = list(zip(rng.uniform(0.1, 0.2, 15), rng.choice(80_000, 15, replace=False) + 10_000, strict=True))
    records = [record(number, eer, int(size)) for number, (eer, size) in enumerate(trials)]
    axes = front_figure(points_of_front(records), points(records), CAPTION).axes[0]
    line = axes.lines[0]
    assert line.get_drawstyle() == "steps-post"
    assert axes.get_xscale() == "log"
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    for size in {size for _, size in trials}:
        expected = 100 * min(eer for eer, other in trials if other <= size)
        assert y[np.flatnonzero(x <= size)[-1]] == pytest.approx(expected)
        assert axes.get_xlim()[0] < size < axes.get_xlim()[1]


def test_base_and_recipes_are_labelled() -> None:
    records = [
        record(0, 0.2, 50_000, "paper"),
        record(1, 0.19, 50_000, "control"),
        record(2, 0.1, 40_000, "initial-half"),
    ]
    records.append(record(3, 0.05, 60_000))
    figure = front_figure(points_of_front(records, base=(0.19, 50_000)), points(records), CAPTION)
    assert sorted(texts(figure)) == ["0", "1", "12 trials ended", "base", "control", "paper"]
    records.append(record(4, 0.01, 30_000, "static"))
    figure = front_figure(points_of_front(records, base=(0.19, 50_000)), points(records), CAPTION)
    assert sorted(texts(figure)) == ["0", "12 trials ended", "base", "control", "paper", "static"]


def test_labels_do_not_overlap() -> None:
    records = [record(number, 0.2 + number / 1000, 50_000, name) for number, name in enumerate(("paper", "control"))]
    records += [record(5, 0.1, 40_000), record(6, 0.05, 70_000)]
    figure = front_figure(points_of_front(records, base=(0.2, 50_000)), points(records), CAPTION)
    named = [text for text in figure.axes[0].texts if text.get_text() in ("paper", "control", "base")]
    boxes = [text.get_window_extent() for text in named]
    assert len(boxes) == 3
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


@pytest.mark.parametrize(
    "trials",
    [
        [(0.0, 1000)],
        [(0.5, 11_171_266)],
        [(0.1, 1000), (0.05, 1001)],
        [(0.3, 900), (0.2, 40_000), (0.1, 2_000_000), (0.0, 95_000_000)],
    ],
)
def test_every_front_has_an_axis_with_ticks(trials: list[tuple[float, int]], tmp_path: Path) -> None:
    records = [record(number, eer, size) for number, (eer, size) in enumerate(trials)]
    figure = front_figure(points_of_front(records), points(records), CAPTION)
    axes = figure.axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for eer, size in trials:
        assert left < size < right
        assert bottom < 100 * eer < top
    shown = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert 2 <= len(shown) <= 20
    assert len({label.get_text() for label in axes.get_xticklabels() if label.get_text()}) >= 2
    results = [
        DetectorResult(Member("front", place, one, Path()), f"detectors/{place}", one.size or 0, one.eer or 0.0)
        for place, one in enumerate(front_of(records))
    ]
    draw_front(tmp_path / "front.png", results, points(records), CAPTION)
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_trials_of_far_larger_eer_are_counted_and_not_drawn() -> None:
    records = [record(0, 0.1, 1000), record(1, 0.15, 2000), record(2, 0.5, 1500)]
    figure = front_figure(points_of_front(records), points(records), CAPTION)
    assert 15 < figure.axes[0].get_ylim()[1] < 50
    assert [text.get_text() for text in figure.texts] == ["trials above the axis: 1; simulated speech"]


def test_every_curve_is_a_line_with_the_intervals_as_bars_and_a_name_in_the_legend() -> None:
    records = [record(0, 0.2, 1000), record(1, 0.1, 4000)]
    curves = [
        Curve("eval", [(1000, 0.3), (4000, 0.25)], [(0.28, 0.32), None]),
        *(Curve(f"$corpus {n}$", [(4000, 0.45)], [(0.4, 0.5)]) for n in range(len(COLOURS))),
    ]
    figure = front_figure(points_of_front(records), points(records), CAPTION, curves)
    axes = figure.axes[0]
    assert axes.get_ylabel() == "EER, %"
    assert axes.get_ylim()[1] > 50, "the bars are whole"
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    drawn = [[*zip(*map(np.asarray, line.get_data()), strict=True)] for line in lines]
    assert drawn == [[(size, pytest.approx(100 * eer)) for size, eer in curve.points] for curve in curves]
    looks = {(line.get_color(), line.get_linestyle()) for line in lines}
    assert len(looks) == len(curves), "none looks like another"
    bars = [line for line in axes.lines if line.get_color() == COLOURS[0] and line not in lines]
    assert [list(np.asarray(bar.get_ydata())) for bar in bars] == [pytest.approx([28, 32]), pytest.approx([40, 50])]
    texts = figure.legends[0].get_texts()
    assert [text.get_text() for text in texts] == ["dev (points: all trials)", *(curve.name for curve in curves)]
    assert not any(text.get_parse_math() for text in texts)


def test_without_curves_the_picture_is_of_dev_alone() -> None:
    records = [record(0, 0.2, 1000), record(1, 0.1, 4000)]
    figure = front_figure(points_of_front(records), points(records), CAPTION)
    assert figure.axes[0].get_ylabel() == "EER on dev, %"
    assert figure.legends == []
