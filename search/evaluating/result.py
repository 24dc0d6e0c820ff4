"""What detectors do on a split of a corpus: as an object, as a table, and as a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search.cluster import home
from search.evaluating import score_files, tables
from search.evaluating.detectors import short_names
from search.evaluating.scores import SplitScores
from search.reporting import export_folder
from search.reporting.evaluations import CorpusEvaluation, Measures

SCORES = "scores"
"""Folder of score files in that of an evaluation."""


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """Detectors on a split of a corpus.

    Attributes:
        evaluation: their errors, pooled and by condition.
        found: their scores.
        facts: what evaluation.json has of each detector beside its errors: whether it is calibrated, how many
            utterances of each class have no score, and what it was trained on.
        rule: how the windows of a recording become one score; JSON types.
        notes: what a reader of the numbers has to know, a line each.
    """

    evaluation: CorpusEvaluation
    found: SplitScores
    facts: tuple[Mapping[str, Any], ...]
    rule: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Short names of the detectors."""
        return short_names([one.detector for one in self.evaluation.detectors])

    @property
    def table(self) -> pa.Table:
        """A row for each detector, condition and value, as evaluation.parquet has them.

        Condition and value are null in the rows of all utterances, which come first for each detector. Errors and ends
        of the interval (low, high) are fractions, costs as `Measures` has them; null where a class is missing.
        """
        rows = list(self._rows())
        columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in _COLUMNS.items()}
        return pa.table(columns)

    def document(self) -> dict[str, Any]:
        """The content of evaluation.json."""
        found = asdict(self.evaluation)
        found["rule"], found["notes"] = dict(self.rule), list(self.notes)
        found["unreadable"] = len(self.found.unreadable)
        for one, facts in zip(found["detectors"], self.facts, strict=True):
            one |= facts
        return found

    def save(self, folder: Path | str, *, scores: str | None = None) -> None:
        """Write evaluation.json, evaluation.parquet, evaluation.md, det.png, and scores where they are asked for.

        Args:
            folder: what to write; an earlier evaluation there is replaced, anything else is left alone.
            scores: form of the score files, see `score_files`; ``None`` for no such files.

        Raises:
            DropinError: the folder has other files, or names of utterances do not fit the form.
            OSError: it cannot be written.
        """
        home.provide()
        # Only now: matplotlib looks for a home folder when it is imported.
        from search.evaluating.det_picture import Curve, draw_det

        target = Path(folder).expanduser().resolve()
        with export_folder.atomic_folder(target, self.document(), export_folder.EVALUATION) as part:
            pq.write_table(self.table, part / "evaluation.parquet")
            (part / "evaluation.md").write_text(tables.markdown(self.evaluation, self.notes), encoding="utf-8")
            measured = zip(self.names, self.found.scores, self.evaluation.detectors, strict=True)
            curves = [Curve(name, row, one.pooled) for name, row, one in measured]
            draw_det(part / "det.png", curves, self.found.labels, self.evaluation.corpus)
            if scores is not None:
                score_files.write_all(part / SCORES, self.found, self.names, scores, folder=True)

    def write_scores(self, target: Path | str, form: str = score_files.DEFAULT) -> list[Path]:
        """Write the scores in a form of the challenges: a file for one detector, a folder of files for several.

        Args:
            target: a new file, or a new or empty folder.
            form: ``2019``, ``2021`` or ``5``; see `score_files`.

        Returns:
            The files.

        Raises:
            DropinError: it is there already, or names of utterances do not fit the form.
            OSError: a file cannot be written.
        """
        path = Path(target).expanduser().resolve()
        score_files.check_target(path, folder=len(self.names) > 1)
        return score_files.write_all(path, self.found, self.names, form, folder=False)

    def __repr__(self) -> str:
        """Corpus, split and EERs."""
        corpus = self.evaluation.corpus
        eers = ", ".join(f"{100 * (one.pooled.eer or 0):.2f} %" for one in self.evaluation.detectors)
        return f"<EvaluationResult on {corpus.split} of {corpus.name}: EER {eers}>"

    def _rows(self) -> Iterator[dict[str, Any]]:
        for one in self.evaluation.detectors:
            about = {name: getattr(one, name) for name in _ABOUT}
            yield {**about, "condition": None, "value": None, **_flat(one.pooled)}
            for condition, values in one.by.items():
                for value, measures in values.items():
                    yield {**about, "condition": condition, "value": value, **_flat(measures)}


_ABOUT = {
    "detector": pa.string(),
    "sha256": pa.string(),
    "size": pa.int64(),
    "run": pa.string(),
    "trial": pa.int64(),
    "threshold": pa.float64(),
}
_RATES = ("eer", "eer_low", "eer_high", "min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf")
_AT_THRESHOLD = ("misses", "false_alarms", "hter")
_COLUMNS: Mapping[str, pa.DataType] = {
    **_ABOUT,
    "condition": pa.string(),
    "value": pa.string(),
    **dict.fromkeys((*_RATES, *_AT_THRESHOLD), pa.float64()),
    "bonafide": pa.int64(),
    "spoof": pa.int64(),
}


def _flat(measures: Measures) -> dict[str, Any]:
    found = asdict(measures)
    found["eer_low"], found["eer_high"] = found.pop("interval") or (None, None)
    return found
