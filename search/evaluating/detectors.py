"""Which detectors are evaluated: single ones, and all of a front that was exported."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from search.reporting.export_folder import MARKER
from search.runs.members import Member
from search.scoring.scorer import Scorer
from search.scoring.windowing import Windowing
from search.settings import values
from trainables.errors import DropinError
from trainables.storage import bucket_files, checkpoint

DETECTORS = "detectors"
"""Folder of an export that has its detectors, each in a folder with its number."""
FIRST = Windowing("first")
Source = str | PathLike[str] | Member


@dataclass(frozen=True)
class GivenDetector:
    """A detector to evaluate.

    Attributes:
        name: as it was given; that of a front is followed by its folder there.
        sha256: of its file of weights, in hex.
        size: number of parameters.
        card: what is known about it.
        scorer: scores audio files.
    """

    name: str
    sha256: str
    size: int
    card: Mapping[str, Any]
    scorer: Scorer

    @property
    def threshold(self) -> float:
        """Of its decision: bona fide where the score is at least this."""
        return self.scorer.threshold

    @property
    def run(self) -> str | None:
        """Name of the run that it comes from, if the card says it."""
        run = self.card.get("run")
        return run if isinstance(run, str) else None

    @property
    def trial(self) -> int | None:
        """Number of the trial in the run, if the card says it."""
        number = self.card.get("number")
        return number if type(number) is int else None

    @property
    def calibrated(self) -> bool:
        """Whether its scores are log-likelihood ratios."""
        return bool(self.card.get("calibration"))

    @property
    def trained_on(self) -> str:
        """Name of the corpus that it was trained on, or nothing."""
        corpus = self.card.get("corpus")
        return str(corpus.get("name", "")) if isinstance(corpus, Mapping) else ""


def find_detectors(sources: Sequence[Source], windowing: Windowing = FIRST) -> list[GivenDetector]:
    """Read detectors; a folder that ``search.export`` wrote stands for all of its detectors.

    Args:
        sources: folders or URIs of detectors or of exported fronts, or members of ``run.front``.
        windowing: which windows of a recording they score; by default the first, as where the front was made.

    Raises:
        DropinError: none is given, one is given twice, is no detector, is damaged, or cannot be read.
    """
    found: list[GivenDetector] = []
    for source in sources:
        given = str(source.folder if isinstance(source, Member) else source).rstrip("/")
        with _on_this_machine(source) as folder:
            found += [
                _read(folder / place, windowing, "/".join(filter(None, (given, place))))
                for place in _places(folder, given)
            ]
    if not found:
        raise DropinError("an evaluation needs a detector; got none: name one, or the folder of an exported front")
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DropinError(f"each detector must be given once; got {', '.join(twice)} more often: leave one out")
    return found


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the folders that all of them begin with; a single one stays as it is."""
    if len(names) < 2:
        return list(names)
    parts = [name.split("/") for name in names]
    common = 0
    while all(len(one) > common + 1 and one[common] == parts[0][common] for one in parts):
        common += 1
    return ["/".join(one[common:]) for one in parts]


@contextmanager
def _on_this_machine(source: Source) -> Iterator[Path]:
    """The folder of a source; what a URI names is downloaded for as long as it is read."""
    if isinstance(source, Member):
        yield source.folder
        return
    place = values.PATH_OR_URI.checked(source if isinstance(source, str) else Path(source))
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            bucket_files.download(place, Path(folder, "copy"))
        except OSError as error:
            raise DropinError(f"{place} cannot be read ({error}): check the URI and the credentials") from error
        yield Path(folder, "copy")


def _places(folder: Path, given: str) -> list[str]:
    """Where the detectors of a folder are: in itself, or in numbered folders of an export."""
    if os.path.isfile(folder / checkpoint.DESCRIPTION):
        return [""]
    if os.path.isfile(folder / "settings.json"):
        raise DropinError(
            f"detectors are evaluated as they are exported; {given} is a run: export it by python -m search.export, "
            "and name the folder that this writes"
        )
    if not os.path.isfile(folder / MARKER):
        raise DropinError(
            f"a detector must be a folder with {checkpoint.DESCRIPTION}, or a front with {MARKER}, as search.export "
            f"writes them; {given} has neither: correct the path"
        )
    inside = folder / DETECTORS
    numbers = sorted(int(name) for name in (os.listdir(inside) if os.path.isdir(inside) else ()) if name.isdecimal())
    if not numbers:
        raise DropinError(
            f"a front that search.export wrote has detectors; {given} has no detectors in {inside.name}: export it anew"
        )
    return [f"{DETECTORS}/{number}" for number in numbers]


def _read(folder: Path, windowing: Windowing, name: str) -> GivenDetector:
    detector = checkpoint.load_detector(folder)
    digest = checkpoint.weights_digest(folder)
    return GivenDetector(name, digest, detector.arch.size(), detector.card, Scorer(detector, windowing))
