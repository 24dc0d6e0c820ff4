"""The picture of a front with its EERs on several corpora, of which dev is the one that it was chosen on."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from search.reporting.front_curves import Curve
from search.reporting.front_picture import PNG_DPI, Point, front_figure
from search.reporting.run_facts import caption, completed_points
from search.reporting.side_by_side import Column, ShownDetector, SideBySide
from search.runs.members import StoredRun
from trainables.errors import DropinError
from trainables.storage.run_paths import UNFINISHED


def write_picture(path: Path, run: StoredRun, compared: SideBySide | None) -> None:
    """Write `corpora_figure` as a PNG, whole or not at all.

    Args:
        path: the file, which is replaced; its folder is made.
        run: the run.
        compared: its detectors by corpora.

    Raises:
        DropinError: there is nothing to draw, since the run was not exported.
        OSError: the file cannot be written.
    """
    if compared is None:
        raise DropinError(
            "--picture needs an export, whose front it shows: add --front DIR, the folder that search.export wrote"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + UNFINISHED)
    corpora_figure(run, compared).savefig(part, format="png", dpi=PNG_DPI)
    os.replace(part, path)


def corpora_figure(run: StoredRun, compared: SideBySide) -> Figure:
    """The front on dev as a step line with all trials, and a line for every other corpus.

    Recipes and the base are drawn where an evaluation has them.
    """
    dev, *others = compared.columns
    members = compared.members
    shown = [_point(one, dev) for one in (*members, *(d for d in compared.detectors if not d.on_front))]
    curves = [_curve(column, members) for column in others if any(one.name in column.cells for one in members)]
    return front_figure(shown, completed_points(run), caption(run, len(members)), curves)


def _point(detector: ShownDetector, dev: Column) -> Point:
    cell = dev.cells[detector.name]
    return Point(detector.name, detector.size, cell.eer, detector.on_front, cell.interval, detector.recipe)


def _curve(column: Column, members: list[ShownDetector]) -> Curve:
    found = [(one.size, column.cells[one.name]) for one in members if one.name in column.cells]
    return Curve(column.name, [(size, cell.eer) for size, cell in found], [cell.interval for _, cell in found])
