from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from search import run_folder
from search.evaluation import Evaluation
from search.members import Member
from search.report import Caption, Entry, count_text, draw_front, front_figure, table, write_tables
from search.trial_log import Record

CAPTION = Caption("plasticity: resnet18 on demo", "12 trials ended", "simulated speech")
PLAN = {
    **{"space": "dropin", "epochs": 3, "grow": {"layer1.0": 4}, "rule": "zero", "grow_epoch": 0, "grow_steps": 1},
    **{"train": "new", "prune_epoch": 3, "prune_steps": 1, "final": {}, "criterion": "original", "after": "finetune"},
    **{"moments": "carry", "optimizer": "adam", "lr": 1e-3, "recover_lr": 1e-4, "schedule": "constant"},
    **{"weight_decay": 0.0, "clip": 0.0, "batch_size": 32},
}


def record(number: int, eer: float, size: int, recipe: str | None = None) -> Record:
    return Record(number, "COMPLETE", recipe, PLAN, eer=eer, size=size, total_widths={"layer1.0": 8})


def entries(records: list[Record], base: tuple[float, int] | None = None) -> list[Entry]:
    """The front of some trials, the recipes beside it, and a base."""
    front = run_folder.front_of(records)
    found = [
        Entry(Member("front", place, one, Path()), f"detectors/{place}", one.size or 0, one.eer or 0.0)
        for place, one in enumerate(front)
    ]
    rest = [Member("recipe", None, one, Path()) for one in records if one not in front]
    found += [Entry(m, None, m.record.size or 0, m.record.eer or 0.0) for m in rest if m.record and m.recipe]
    if base is not None:
        found.append(Entry(Member("base", None, None, Path()), None, base[1], base[0]))
    return found


def points(records: list[Record]) -> list[tuple[int, float]]:
    return [(one.size or 0, one.eer or 0.0) for one in records]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_row_says_what_was_measured_and_null_where_nothing_was(tmp_path: Path) -> None:
    first, second = entries([record(7, 0.1, 1000, "paper")], base=(0.2, 900))
    dev = Evaluation(0.11, {"A01": 0.2, "A02": 0.0}, 0.3, 0.4, None, (0.05, 0.2))
    on_eval = Evaluation(0.0, {"A07": 0.5}, 0.25, 0.75, 0.9, (0.0, 0.1))
    first = Entry(first.member, first.detector, 1000, 0.1, -1.5, 12345, dev, on_eval)
    rows = table([first, second]).to_pylist()
    words = "add neurons that at first add nothing: 4 to layer1.0; train only what is new for 3 epochs; "
    words += "adam, learning rate 0.001, batches of 32, moments carried over"
    assert rows[0] == {
        **{"role": "front", "name": "0", "detector": "detectors/0", "size": 1000, "macs": 12345},
        **{"eer_dev": 0.1, "eer_eval": 0.0, "min_tdcf_dev": None, "min_tdcf_eval": 0.9, "threshold": -1.5},
        **{"eer_dev_low": 0.05, "eer_dev_high": 0.2, "eer_eval_low": 0.0, "eer_eval_high": 0.1},
        **{"misses_eval": 0.25, "false_alarms_eval": 0.75, "trial": 7, "recipe": "paper", "weighted_eer": None},
        **{"trainable_parameters": None, "epochs": 0, "seconds": None},
        **{"eer_dev_A01": 0.2, "eer_dev_A02": 0.0, "eer_eval_A07": 0.5},
        **{"plan": json.dumps(PLAN), "plan_in_words": words, "total_widths": '{"layer1.0": 8}'},
    }
    known = {"role": "base", "name": "base", "size": 900, "eer_dev": 0.2}
    assert rows[1] == {**dict.fromkeys(rows[0]), **known}
    write_tables(tmp_path, [first, second])
    assert pq.read_table(tmp_path / "front.parquet").to_pylist() == rows
    lines = (tmp_path / "front.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].split(",")[:5] == ['"role"', '"name"', '"detector"', '"size"', '"macs"']


@pytest.mark.parametrize("seed", range(4))
def test_the_staircase_is_the_best_eer_at_no_more_parameters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trials = list(zip(rng.uniform(0.1, 0.2, 15), rng.choice(80_000, 15, replace=False) + 10_000, strict=True))
    records = [record(number, eer, int(size)) for number, (eer, size) in enumerate(trials)]
    axes = front_figure(entries(records), points(records), CAPTION).axes[0]
    line = axes.lines[0]
    assert line.get_drawstyle() == "steps-post"
    assert axes.get_xscale() == "log"
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    for size in {size for _, size in trials}:
        expected = 100 * min(eer for eer, other in trials if other <= size)
        assert y[np.flatnonzero(x <= size)[-1]] == pytest.approx(expected)
        assert axes.get_xlim()[0] < size < axes.get_xlim()[1]


def test_what_has_a_name_is_marked_by_it() -> None:
    records = [
        record(0, 0.2, 50_000, "paper"),
        record(1, 0.19, 50_000, "control"),
        record(2, 0.1, 40_000, "anchor-half"),
    ]
    records.append(record(3, 0.05, 60_000))
    figure = front_figure(entries(records, base=(0.19, 50_000)), points(records), CAPTION)
    assert sorted(texts(figure)) == ["0", "1", "12 trials ended", "base", "control", "paper"]
    records.append(record(4, 0.01, 30_000, "static"))
    figure = front_figure(entries(records, base=(0.19, 50_000)), points(records), CAPTION)
    assert sorted(texts(figure)) == ["0", "12 trials ended", "base", "control", "paper", "static"]


def test_names_do_not_cover_each_other() -> None:
    records = [record(number, 0.2 + number / 1000, 50_000, name) for number, name in enumerate(("paper", "control"))]
    records += [record(5, 0.1, 40_000), record(6, 0.05, 70_000)]
    figure = front_figure(entries(records, base=(0.2, 50_000)), points(records), CAPTION)
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
def test_every_front_gets_a_scale_with_numbers(trials: list[tuple[float, int]], tmp_path: Path) -> None:
    records = [record(number, eer, size) for number, (eer, size) in enumerate(trials)]
    figure = front_figure(entries(records), points(records), CAPTION)
    axes = figure.axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for eer, size in trials:
        assert left < size < right
        assert bottom < 100 * eer < top
    shown = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert 2 <= len(shown) <= 20
    assert len({label.get_text() for label in axes.get_xticklabels() if label.get_text()}) >= 2
    draw_front(tmp_path / "front.png", entries(records), points(records), CAPTION)
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_trials_that_are_far_worse_are_left_out_and_counted() -> None:
    records = [record(0, 0.1, 1000), record(1, 0.15, 2000), record(2, 0.5, 1500)]
    figure = front_figure(entries(records), points(records), CAPTION)
    assert 15 < figure.axes[0].get_ylim()[1] < 50
    assert [text.get_text() for text in figure.texts] == ["trials above the picture: 1; simulated speech"]


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (42_000, "42k"), (1_500_000, "1.5M"), (11_171_266, "11.2M"), (2e9, "2G")]
)
def test_counts_in_short(value: float, text: str) -> None:
    assert count_text(value) == text
