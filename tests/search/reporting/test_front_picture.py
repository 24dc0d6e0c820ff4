from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from search.reporting.front_picture import Caption, draw_front, front_figure
from search.reporting.tables import DetectorResult
from search.runs.front import front_of
from search.runs.members import Member
from search.runs.record import Record

CAPTION = Caption("plasticity: resnet18 on demo", "12 trials ended", "simulated speech")


def record(number: int, eer: float, size: int, recipe: str | None = None) -> Record:
    return Record(number, "COMPLETE", recipe, {}, eer=eer, size=size)


def results(records: list[Record], base: tuple[float, int] | None = None) -> list[DetectorResult]:
    """Results of the front, the recipes and the base."""
    front = front_of(records)
    found = [
        DetectorResult(Member("front", place, one, Path()), f"detectors/{place}", one.size or 0, one.eer or 0.0)
        for place, one in enumerate(front)
    ]
    rest = [Member("recipe", None, one, Path()) for one in records if one not in front]
    found += [DetectorResult(m, None, m.record.size or 0, m.record.eer or 0.0) for m in rest if m.record and m.recipe]
    if base is not None:
        found.append(DetectorResult(Member("base", None, None, Path()), None, base[1], base[0]))
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
    axes = front_figure(results(records), points(records), CAPTION).axes[0]
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
    figure = front_figure(results(records, base=(0.19, 50_000)), points(records), CAPTION)
    assert sorted(texts(figure)) == ["0", "1", "12 trials ended", "base", "control", "paper"]
    records.append(record(4, 0.01, 30_000, "static"))
    figure = front_figure(results(records, base=(0.19, 50_000)), points(records), CAPTION)
    assert sorted(texts(figure)) == ["0", "12 trials ended", "base", "control", "paper", "static"]


def test_labels_do_not_overlap() -> None:
    records = [record(number, 0.2 + number / 1000, 50_000, name) for number, name in enumerate(("paper", "control"))]
    records += [record(5, 0.1, 40_000), record(6, 0.05, 70_000)]
    figure = front_figure(results(records, base=(0.2, 50_000)), points(records), CAPTION)
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
    figure = front_figure(results(records), points(records), CAPTION)
    axes = figure.axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for eer, size in trials:
        assert left < size < right
        assert bottom < 100 * eer < top
    shown = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert 2 <= len(shown) <= 20
    assert len({label.get_text() for label in axes.get_xticklabels() if label.get_text()}) >= 2
    draw_front(tmp_path / "front.png", results(records), points(records), CAPTION)
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_trials_of_far_larger_eer_are_counted_and_not_drawn() -> None:
    records = [record(0, 0.1, 1000), record(1, 0.15, 2000), record(2, 0.5, 1500)]
    figure = front_figure(results(records), points(records), CAPTION)
    assert 15 < figure.axes[0].get_ylim()[1] < 50
    assert [text.get_text() for text in figure.texts] == ["trials above the axis: 1; simulated speech"]
