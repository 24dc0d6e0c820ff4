"""What search.evaluate writes and the report reads: the file evaluation.json, as checked dataclasses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from search.runs.typed_json import check_fields
from trainables.errors import DropinError

FILE = "evaluation.json"
MAX_BYTES = 64_000_000
"""Largest file that is read: a front of thirty detectors by a thousand values takes about a fifth of it."""
MAX_TEXT = 2_000
"""Characters of the longest name or note; more is no name."""
SHARES = ("eer", "misses", "false_alarms", "hter")
COSTS = ("min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf")

Made = TypeVar("Made")


@dataclass(frozen=True)
class Measures:
    """Errors of a detector on some utterances; ``None`` for what needs a class that is not among them.

    Attributes:
        eer: equal error rate, a fraction.
        interval: 95 % bootstrap interval of the EER.
        min_dcf, actual_dcf: detection cost of ASVspoof 5, normalised.
        cllr, min_cllr: cost of log-likelihood ratios, bits.
        min_tdcf: normalised minimum t-DCF; ``None`` also without scores of a speaker verification.
        misses: share of bona fide utterances below the detector's own threshold.
        false_alarms: share of spoofs at or above it.
        hter: mean of these two.
        bonafide, spoof: number of utterances that have a score.
    """

    eer: float | None
    interval: tuple[float, float] | None
    min_dcf: float | None
    actual_dcf: float | None
    cllr: float | None
    min_cllr: float | None
    min_tdcf: float | None
    misses: float | None
    false_alarms: float | None
    hter: float | None
    bonafide: int
    spoof: int

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            DropinError: a value is not what it must be.
        """
        check_fields(self)
        for name in SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise DropinError(f"{name} must be from 0 to 1; got {value!r}")
        for name in (*COSTS, "bonafide", "spoof"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise DropinError(f"{name} must be at least 0; got {value!r}")
        ends = self.interval
        if ends is not None and (len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= 1):
            raise DropinError(f"interval must be two numbers from 0 to 1, the lower first; got {list(ends)!r:.80}")


@dataclass(frozen=True)
class EvaluatedDetector:
    """A detector and its errors.

    Attributes:
        detector: as it was given: a path, or a name.
        sha256: of its weights file (`trainables.storage.checkpoint.weights_digest`), in hex.
        size: number of parameters.
        run: name of the run that it is from; ``None`` where its card does not say.
        trial: number of its trial; ``None`` for a base and where its card does not say.
        threshold: of its decision.
        pooled: errors on all utterances.
        by: errors by condition (``attack``, ``codec``, ...) and value.
    """

    detector: str
    sha256: str
    size: int
    run: str | None
    trial: int | None
    threshold: float
    pooled: Measures
    by: Mapping[str, Mapping[str, Measures]]

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            DropinError: a value is not what it must be.
        """
        check_fields(self)
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise DropinError(f"sha256 must be 64 hexadecimal digits; got {self.sha256!r:.80}")
        if self.size < 1:
            raise DropinError(f"size must be at least 1; got {self.size}")
        _check_texts(self.detector, self.run, *self.by, *(value for values in self.by.values() for value in values))


@dataclass(frozen=True)
class EvaluatedCorpus:
    """The utterances that detectors were evaluated on.

    Attributes:
        name: of the corpus.
        digest: of the corpus as it was read (`trainables.corpora.corpus.Corpus.digest`).
        note: a warning for readers of results, or an empty text.
        split: train, dev or eval.
        subset: part of an evaluation set, such as ``progress``; empty or ``None`` where the corpus has none.
    """

    name: str
    digest: str
    note: str
    split: str
    subset: str | None = None

    def __post_init__(self) -> None:
        """Check types and lengths.

        Raises:
            DropinError: a value is not what it must be.
        """
        check_fields(self)
        _check_texts(self.name, self.digest, self.note, self.split, self.subset)


@dataclass(frozen=True)
class CorpusEvaluation:
    """Detectors on a corpus.

    Attributes:
        corpus: what they were evaluated on.
        windows: which windows of a recording its score is of: ``first`` or ``all``.
        detectors: in the order in which they were given.
    """

    corpus: EvaluatedCorpus
    windows: str
    detectors: tuple[EvaluatedDetector, ...]

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            DropinError: a value is not what it must be.
        """
        check_fields(self)
        _check_texts(self.windows)

    def to_json(self) -> str:
        """The content of evaluation.json, which `parse` reads again."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def read(folder: Path) -> CorpusEvaluation:
    """Read the folder of an evaluation. It is untrusted input, of which no more than `MAX_BYTES` are read.

    Raises:
        DropinError: not an evaluation, or one with a value that is not what it must be.
    """
    path = folder / FILE
    try:
        if not path.is_file():
            raise DropinError(f"it has no {FILE}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DropinError(f"its {FILE} has more than {MAX_BYTES:,} bytes")
        return parse(content)
    except (OSError, ValueError) as error:
        raise DropinError(
            f"an evaluation must be a folder that search.evaluate wrote; got {folder} ({error}): "
            "correct the path, or evaluate again"
        ) from error


def parse(content: bytes | str) -> CorpusEvaluation:
    """Read the content of evaluation.json; fields that are not known here are left out.

    Raises:
        DropinError: it is not JSON, a field is missing, or a value is not what it must be; where, and the rule.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        raise DropinError(f"{FILE} must be JSON: {error}") from error
    known = _known(CorpusEvaluation, found, "the file")
    known["corpus"] = _made(EvaluatedCorpus, known["corpus"], "corpus")
    if not isinstance(known["detectors"], list):
        raise DropinError(f"detectors must be a list; got {known['detectors']!r:.80}")
    known["detectors"] = tuple(_detector(one, f"detectors[{i}]") for i, one in enumerate(known["detectors"]))
    return _checked(CorpusEvaluation, known, "the file")


def _detector(found: object, where: str) -> EvaluatedDetector:
    known = _known(EvaluatedDetector, found, where)
    known["pooled"] = _measures(known["pooled"], f"{where}.pooled")
    by = _object(known["by"], f"{where}.by")
    known["by"] = {
        condition: {
            value: _measures(measures, f"{where}.by.{condition:.80}.{value:.80}")
            for value, measures in _object(values, f"{where}.by.{condition:.80}").items()
        }
        for condition, values in by.items()
    }
    return _checked(EvaluatedDetector, known, where)


def _measures(found: object, where: str) -> Measures:
    known = _known(Measures, found, where)
    if isinstance(known["interval"], list):
        known["interval"] = tuple(known["interval"])
    return _checked(Measures, known, where)


def _made(kind: type[Made], found: object, where: str) -> Made:
    return _checked(kind, _known(kind, found, where), where)


def _known(kind: type, found: object, where: str) -> dict[str, Any]:
    """The fields of a dataclass that a JSON object has."""
    given = _object(found, where)
    missing = [one.name for one in fields(kind) if one.name not in given and one.default is MISSING]
    if missing:
        raise DropinError(f"{where} must have {', '.join(missing)}")
    return {one.name: given[one.name] for one in fields(kind) if one.name in given}


def _object(found: object, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DropinError(f"{where} must be a JSON object; got {found!r:.80}")
    return found


def _checked(kind: type[Made], known: Mapping[str, Any], where: str) -> Made:
    try:
        return kind(**known)
    except DropinError as error:
        raise DropinError(f"{where}: {error}") from error


def _check_texts(*texts: str | None) -> None:
    for text in texts:
        if text is not None and len(text) > MAX_TEXT:
            raise DropinError(f"a name must have at most {MAX_TEXT:,} characters; got {len(text):,}: {text!r:.80}")
