"""What a report is about: a run, the base that it began with, and the export of its front, where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search.reporting.export_folder import MARKER
from search.runs.front import front_of
from search.runs.members import StoredRun
from search.runs.record import Record
from spaces.recipes import is_recipe
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import DESCRIPTION, read_folder


@dataclass(frozen=True)
class Base:
    """What all trials began with.

    Attributes:
        size: parameters.
        widths: neurons by site.
        eer: dev EER, a fraction; ``None`` where the detector is gone.
    """

    size: int
    widths: Mapping[str, int]
    eer: float | None


@dataclass(frozen=True)
class Export:
    """What an export of the run says.

    Attributes:
        rows: those of its front.parquet.
        trials: how many trials had ended when it was made.
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
        export: an export of it, if one was given.
    """

    run: StoredRun
    base: Base
    front: tuple[Record, ...]
    export: Export | None = None

    @classmethod
    def of(cls, run: StoredRun, export: Path | None = None) -> ReportData:
        """Read what is beside a run's log.

        Args:
            run: finished or not.
            export: folder that `search.export` made of it.

        Raises:
            DropinError: no trial has ended, or the export is none or of another run.
        """
        if not run.records:
            raise DropinError(
                f"a report shows trials that ended; run {run.folder} has none: wait for the first, or see its run.log"
            )
        found = None if export is None else read_export(export.expanduser().resolve(), run)
        return cls(run, _base(run), tuple(front_of(run.records)), found)

    @property
    def recipes(self) -> list[Record]:
        """The recipes that ran to their end, in the order in which they are tried."""
        ended = [one for one in self.run.records if one.state == "COMPLETE" and is_recipe(one.recipe)]
        return sorted(ended, key=lambda one: one.number)


def read_export(folder: Path, run: StoredRun) -> Export:
    """What is in an export's folder.

    Raises:
        DropinError: not an export, or one of another run.
    """
    try:
        about = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        rows = pq.read_table(folder / "front.parquet").to_pylist()
        name, digest, trials = about["run"], about["corpus"], int(about["trials"])
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
        _, texts = read_folder(run.paths.base, [], [DESCRIPTION])
        eer = float(texts[DESCRIPTION]["card"]["eer_dev"])
    except (ValueError, KeyError, TypeError):
        eer = None  # it is there to compare with only; the page says that it is missing
    return Base(arch.size(), arch.total_widths(), eer)
