"""An export's detectors on several corpora: dev and eval of the run, and those of evaluations, matched by weights."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.reporting import evaluations
from search.reporting.evaluations import CorpusEvaluation, EvaluatedDetector
from search.runs.members import StoredRun
from spaces.recipes import is_recipe
from trainables.errors import DropinError
from trainables.printable import printable
from trainables.storage.checkpoint import weights_digest

MAX_EVALUATIONS = 20
"""Most evaluations beside each other; with more, neither a table nor a figure can be read."""
NAME_WIDTH = 60
"""Characters of a column's name."""


@dataclass(frozen=True)
class ShownDetector:
    """A detector of the export's table.

    Attributes:
        name: its number on the front, the recipe's name, or ``base``.
        trial: number of its trial; ``None`` for the base.
        recipe: name of its recipe; ``None`` for the base and for what the search chose itself.
        size: number of parameters.
        on_front: whether it is a member of the front; the others are shown for comparison.
    """

    name: str
    trial: int | None
    recipe: str | None
    size: int
    on_front: bool


@dataclass(frozen=True)
class Cell:
    """The EER of a detector on a corpus, a fraction, and its 95 % interval where that is known."""

    eer: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Column:
    """A corpus, or a split of the run's own.

    Attributes:
        name: ``dev``, ``eval``, or an evaluation's corpus and split; what else tells those that are alike apart.
        cells: by name of the detector; one that was not evaluated, or has no EER there, is left out.
        note: a warning for readers of results, or an empty text.
        evaluated: what an evaluation says of each detector, by its name; empty for dev and eval.
    """

    name: str
    cells: Mapping[str, Cell]
    note: str = ""
    evaluated: Mapping[str, EvaluatedDetector] = field(default_factory=dict)


@dataclass(frozen=True)
class SideBySide:
    """Detectors by corpora.

    Attributes:
        detectors: smallest first; recipes and the base only where an evaluation has them.
        columns: dev, eval if there is one, then evaluations in the order in which they were given.
    """

    detectors: tuple[ShownDetector, ...]
    columns: tuple[Column, ...]

    @property
    def members(self) -> list[ShownDetector]:
        """The members of the front, smallest first."""
        return [one for one in self.detectors if one.on_front]


def side_by_side(run: StoredRun, front: Path, rows: Sequence[Mapping[str, Any]], folders: Sequence[Path]) -> SideBySide:
    """Put evaluations beside the results of an export.

    Args:
        run: that was exported; its folder holds the base and the recipes, which an export does not.
        front: folder of the export.
        rows: of its front.parquet.
        folders: of evaluations, which are untrusted input.

    Raises:
        DropinError: a folder is no evaluation, or has no member of this front; or a detector of the front is missing.
    """
    if len(folders) > MAX_EVALUATIONS:
        raise DropinError(
            f"--evaluation must name at most {MAX_EVALUATIONS} folders; got {len(folders)}: leave some out"
        )
    read = [evaluations.read(folder) for folder in folders]
    try:
        detectors = {one.name: one for one in map(_detector, rows)}
        columns = [Column(split, _split_cells(rows, split)) for split in ("dev", "eval")]
        if columns[0].cells.keys() != detectors.keys():
            raise ValueError("a detector without an EER on dev")
        if not any(one.on_front for one in detectors.values()):
            raise ValueError("no member of a front")
    except (KeyError, TypeError, ValueError) as error:
        raise DropinError(
            f"{front} has a front.parquet that search.export did not write ({error!r}): export again"
        ) from error
    digests = _digests(run, front, detectors.values()) if read else {}
    for folder, evaluation, name in zip(folders, read, _names(folders, read), strict=True):
        evaluated = {digests[one.sha256]: one for one in reversed(evaluation.detectors) if one.sha256 in digests}
        if not any(detectors[one].on_front for one in evaluated):
            raise DropinError(
                f"--evaluation must be of detectors of this front; {folder} has {len(evaluation.detectors)}, none with "
                f"the weights of one in {front}: python -m search.evaluate {shlex.quote(str(front))} evaluates them"
            )
        cells = {
            n: Cell(one.pooled.eer, one.pooled.interval) for n, one in evaluated.items() if one.pooled.eer is not None
        }
        columns.append(Column(name, cells, evaluation.corpus.note, evaluated))
    compared = {name for column in columns for name in column.evaluated}
    shown = [one for one in detectors.values() if one.on_front or one.name in compared]
    return SideBySide(
        tuple(sorted(shown, key=lambda one: one.size)), tuple(one for one in columns if one.cells or one.evaluated)
    )


def _detector(row: Mapping[str, Any]) -> ShownDetector:
    on_front = row["role"] == "front"
    name = str(int(row["name"])) if on_front else str(row["name"])  # a member's is that of its folder
    trial = None if row["trial"] is None else int(row["trial"])
    recipe = row["recipe"] if is_recipe(row["recipe"]) else None
    size = int(row["size"])
    if size < 1:
        raise ValueError(f"size {size}")
    return ShownDetector(name, trial, recipe, size, on_front)


def _split_cells(rows: Iterable[Mapping[str, Any]], split: str) -> dict[str, Cell]:
    cells = {}
    for row in rows:
        eer, low, high = (row[f"eer_{split}{end}"] for end in ("", "_low", "_high"))
        if any(one is not None and not 0 <= one <= 1 for one in (eer, low, high)):
            raise ValueError(f"eer_{split} of {row['name']}: {eer}, {low} to {high}")
        if eer is not None:
            cells[str(row["name"])] = Cell(eer, None if low is None or high is None else (low, high))
    return cells


def _digests(run: StoredRun, front: Path, detectors: Iterable[ShownDetector]) -> dict[str, str]:
    """Names of detectors by the digest of their weights."""
    found = {}
    for one in detectors:
        if one.on_front:
            found[weights_digest(front / "detectors" / one.name)] = one.name
            continue
        folder = run.paths.base if one.trial is None else run.paths.detector(one.trial)
        if folder.is_dir():  # what is only compared with may have been removed
            found.setdefault(weights_digest(folder), one.name)
    return found


def _names(folders: Sequence[Path], read: Sequence[CorpusEvaluation]) -> list[str]:
    """A name for every evaluation: corpus, split and subset; where two are alike, also the name of the folder.

    So do manifests, which are all called so.
    """
    plain = []
    for one in read:
        corpus = one.corpus
        subset = f" {corpus.subset}" if corpus.subset and corpus.subset != corpus.split else ""
        windows = "" if one.windows == "first" else f", {one.windows} windows"
        plain.append(_short(f"{corpus.name} {corpus.split}{subset}{windows}"))
    alike = Counter(plain)
    longer = [
        name if alike[name] == 1 and one.corpus.name != "manifest" else f"{name} ({_short(folder.name)})"
        for name, folder, one in zip(plain, folders, read, strict=True)
    ]
    alike = Counter(["dev", "eval", *longer])
    return [name if alike[name] == 1 else f"{name} {number}" for number, name in enumerate(longer, 1)]


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= NAME_WIDTH else f"{shown[: NAME_WIDTH - 3]}..."
