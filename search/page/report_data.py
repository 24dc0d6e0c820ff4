"""Data of a report: the run, its base, its front, and optionally an export of the front."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search.reporting.export_folder import MARKER
from search.reporting.side_by_side import SideBySide, side_by_side
from search.runs.front import front_of
from search.runs.members import StoredRun
from search.runs.record import Record
from spaces.recipes import is_recipe
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import DESCRIPTION, read_folder


@dataclass(frozen=True)
class Base:
    """The detector that all trials start from.

    Attributes:
        size: number of parameters.
        widths: neurons by site.
        eer: dev EER, a fraction; ``None`` if the detector is missing.
    """

    size: int
    widths: Mapping[str, int]
    eer: float | None


@dataclass(frozen=True)
class Export:
    """An export of the run.

    Attributes:
        rows: of its front.parquet.
        trials: number of ended trials at the time of the export.
    """

    rows: tuple[Mapping[str, Any], ...]
    trials: int


@dataclass(frozen=True)
class ReportData:
    """A run with at least one ended trial.

    Attributes:
        run: the run.
        base: its base.
        front: the members of its front, smallest first.
        export: an export of the run, or ``None``.
        compared: EERs of the export's detectors on dev, eval and other corpora; ``None`` without an export.
    """

    run: StoredRun
    base: Base
    front: tuple[Record, ...]
    export: Export | None = None
    compared: SideBySide | None = None

    @classmethod
    def from_run(cls, run: StoredRun, export: Path | None = None, evaluations: Sequence[Path] = ()) -> ReportData:
        """Collect the data of a run.

        Args:
            run: finished or not.
            export: folder that `search.export` wrote for this run.
            evaluations: folders that `search.evaluate` wrote for the detectors of this export.

        Raises:
            DropinError: no trial has ended, `export` is not an export of this run, or an evaluation is not one of it.
        """
        if not run.records:
            raise DropinError(
                f"a report needs an ended trial; run {run.folder} has none: wait for the first, or see its run.log"
            )
        if export is None:
            if evaluations:
                raise DropinError(
                    "--evaluation needs an export, whose detectors it is matched with: add --front DIR, the folder "
                    "that search.export wrote"
                )
            return cls(run, _base(run), tuple(front_of(run.records)))
        folder = export.expanduser().resolve()
        read = read_export(folder, run)
        compared = side_by_side(run, folder, read.rows, [one.expanduser().resolve() for one in evaluations])
        return cls(run, _base(run), tuple(front_of(run.records)), read, compared)

    @property
    def recipes(self) -> list[Record]:
        """The completed recipes, by trial number."""
        completed = [one for one in self.run.records if one.state == "COMPLETE" and is_recipe(one.recipe)]
        return sorted(completed, key=lambda one: one.number)


def read_export(folder: Path, run: StoredRun) -> Export:
    """Read an export.

    Raises:
        DropinError: not an export, or one of another run.
    """
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        rows = pq.read_table(folder / "front.parquet").to_pylist()
        name, digest, trials = marker["run"], marker["corpus"], int(marker["trials"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DropinError(
            f"--front must be a folder that search.export wrote; {folder} cannot be read ({error}): correct the path"
        ) from error
    if (name, digest) != (run.settings.name, run.corpus["digest"]):
        raise DropinError(
            f"--front must be an export of this run, {run.settings.name}; {folder} is one of {name}: export this run"
        )
    return Export(tuple(rows), trials)


def _base(run: StoredRun) -> Base:
    arch = Architecture.create(run.settings.model, run.settings.model_option)
    try:
        _, documents = read_folder(run.paths.base, [], [DESCRIPTION])
        eer = float(documents[DESCRIPTION]["card"]["eer_dev"])
    except (ValueError, KeyError, TypeError):
        eer = None  # only the comparison needs it, and the page says that it is missing
    return Base(arch.size(), arch.total_widths(), eer)
