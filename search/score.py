"""The command that uses a detector: ``python -m search.score DETECTOR FILES...``."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from search.display.terminal import cell, complain, say
from search.settings.arguments import path_or_uri
from trainables import features
from trainables.corpora.audio import SAMPLE_RATE
from trainables.errors import DropinError
from trainables.features.extraction import extract
from trainables.features.segment import samples_in
from trainables.features.waveform import standardised
from trainables.features.windows import Extraction
from trainables.printable import printable
from trainables.storage import bucket_files
from trainables.storage.checkpoint import Detector, load_detector
from trainables.trial.training import select_device

INTERRUPTED = 130


@dataclass(frozen=True)
class Scored:
    """What became of a file.

    Attributes:
        file: as it was named.
        score: log-odds of bona fide speech; ``None`` where there is an error.
        error: why there is no score.
    """

    file: str
    score: float | None
    error: str | None = None


class Scorer:
    """A detector that scores audio files as it was trained to hear them: their first seconds, short ones repeated."""

    def __init__(self, detector: Detector) -> None:
        """Take a detector.

        Raises:
            DropinError: its card does not say how to use it, or names a front end that there is not.
        """
        card = detector.card
        try:
            self.threshold, seconds, front_end = (
                float(card["threshold"]),
                float(card["seconds"]),
                str(card["front_end"]),
            )
            self.note = str((card.get("corpus") or {}).get("note", ""))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DropinError(f"a detector's card must say threshold, seconds and front_end: {error!r}") from error
        if not math.isfinite(self.threshold):
            raise DropinError(
                f"the threshold of a detector's card must be finite; got {self.threshold}: export it anew"
            )
        features.load(front_end)
        self._samples = samples_in(seconds, SAMPLE_RATE)
        self._extraction = Extraction(front_end, self._samples, self._samples)
        self._device = select_device()
        self._module = detector.module.to(self._device)

    def score(self, files: Sequence[str]) -> Iterator[Scored]:
        """Score files in order; one that cannot be used gets an error and the rest goes on."""
        jobs = [(Path(file), self._samples) for file in files]
        rows = zip(files, extract(jobs, self._extraction), strict=True)
        while batch := list(islice(rows, self._module.scoring_batch)):
            heard = [row for _, row in batch if not isinstance(row, str)]
            scores = iter(self._log_odds(np.concatenate(heard)) if heard else ())
            for file, row in batch:
                if isinstance(row, str):
                    yield Scored(
                        file, None, f"{file} is a folder: name the files in it" if Path(file).is_dir() else row
                    )
                else:
                    score = next(scores)
                    yield Scored(file, score) if np.isfinite(score) else Scored(file, None, "its score is not finite")

    def verdict(self, score: float) -> str:
        """What the detector takes speech of this score for."""
        return "bona fide" if score >= self.threshold else "spoof"

    @torch.inference_mode()
    def _log_odds(self, rows: np.ndarray) -> list[float]:
        x = np.stack([standardised(row) for row in rows]) if rows.dtype == np.int16 else rows
        logits = self._module(torch.from_numpy(x).to(self._device)).double()
        found: list[float] = (logits[:, 1] - logits[:, 0]).tolist()
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Score audio files from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when a file could not be scored, 2 when the detector cannot be used, 130 when interrupted.
    """
    given = _parser().parse_args(arguments)
    try:
        scorer = Scorer(_load(given.detector))
    except ValueError as error:
        complain(error)
        return 2
    errors = Console(stderr=True)
    try:
        found = list(
            track(
                scorer.score(given.files),
                "scoring",
                len(given.files),
                console=errors,
                transient=True,
                disable=not errors.is_terminal,
            )
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    if given.json:
        say(json.dumps(_document(str(given.detector), scorer, found), indent=1))
    else:
        _print_table(scorer, found)
    failed = [one for one in found if one.error is not None]
    for one in failed:
        complain(printable(one.error))
    return int(bool(failed))


def _load(place: Path | str) -> Detector:
    if isinstance(place, Path):
        return load_detector(place)
    with tempfile.TemporaryDirectory() as folder:
        try:
            bucket_files.download(place, Path(folder, "detector"))
        except OSError as error:
            raise DropinError(f"{place} cannot be read ({error}): check the URI and the credentials") from error
        return load_detector(Path(folder, "detector"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search.score",
        description="Tell bona fide speech from deepfakes. Of each file the first seconds count that the detector was "
        "trained on (4 unless its card says otherwise); a shorter file is repeated.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "detector",
        type=path_or_uri,
        metavar="DETECTOR",
        help="folder or URI of a detector, such as front/detectors/0",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio of any format and rate that libsndfile decodes")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def _document(detector: str, scorer: Scorer, found: Sequence[Scored]) -> dict[str, Any]:
    files = [
        {"file": one.file, "error": one.error}
        if one.score is None
        else {"file": one.file, "score": one.score, "verdict": scorer.verdict(one.score)}
        for one in found
    ]
    return {"detector": detector, "threshold": scorer.threshold, "note": scorer.note, "files": files}


def _print_table(scorer: Scorer, found: Sequence[Scored]) -> None:
    table = Table("file", "score", "verdict", box=SIMPLE_HEAD)
    table.columns[0].overflow = "fold"
    table.columns[1].justify = "right"
    for one in found:
        if one.score is not None:
            verdict = scorer.verdict(one.score)
            style = "green" if verdict == "bona fide" else "red"
            table.add_row(cell(one.file), f"{one.score:.3f}", cell(verdict, style))
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # a row a line, whoever reads it
    if table.row_count:
        console.print(table)
        say(f"bona fide where score >= {scorer.threshold:.3f}, log-odds at the threshold of the EER on dev")
    if scorer.note:
        say(f"trained on {printable(scorer.note)}")


if __name__ == "__main__":
    sys.exit(main())
