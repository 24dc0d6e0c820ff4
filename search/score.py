"""The command that uses a detector: ``python -m search.score DETECTOR FILES...``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from search.api.detectors import Detector, Scored, load_detector
from search.display import terminal
from search.display.terminal import cell, print_error, print_text
from search.settings import values
from search.settings.command_line import Parser
from trainables.errors import DropinError
from trainables.printable import printable

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Score audio files from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when a file could not be scored, 2 when the detector cannot be used, 130 when interrupted.
    """
    terminal.prepare()
    given = _parser().parse_args(arguments)
    try:
        detector = load_detector(given.detector)
    except DropinError as error:
        print_error(error)
        return 2
    errors = Console(stderr=True)
    try:
        found = list(
            track(
                detector.iter_scores(given.files),
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
        print_text(json.dumps(_document(str(given.detector), detector, found), indent=1))
    else:
        _print_table(detector, found)
    failed = [one for one in found if one.error is not None]
    for one in failed:
        print_error(printable(one.error))
    return int(bool(failed))


def _parser() -> Parser:
    parser = Parser(
        "search.score",
        "Tell bona fide speech from deepfakes. Of each file the first seconds count that the detector was trained on "
        "(4 unless its card says otherwise); a shorter file is repeated.",
    )
    parser.add_argument(
        "detector",
        type=values.PATH_OR_URI.parsed,
        metavar="DETECTOR",
        help="folder or URI of a detector, such as front/detectors/0",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio of any format and rate that libsndfile decodes")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def _document(place: str, detector: Detector, found: Sequence[Scored]) -> dict[str, Any]:
    files = [
        {"file": one.file, "error": one.error}
        if one.score is None
        else {"file": one.file, "score": one.score, "verdict": detector.verdict(one.score)}
        for one in found
    ]
    return {"detector": place, "threshold": detector.threshold, "note": detector.note, "files": files}


def _print_table(detector: Detector, found: Sequence[Scored]) -> None:
    table = Table("file", "score", "verdict", box=SIMPLE_HEAD)
    table.columns[0].overflow = "fold"
    table.columns[1].justify = "right"
    for one in found:
        if one.score is not None:
            verdict = detector.verdict(one.score)
            style = "green" if verdict == "bona fide" else "red"
            table.add_row(cell(one.file), f"{one.score:.3f}", cell(verdict, style))
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # a row a line, whoever reads it
    if table.row_count:
        console.print(table)
        print_text(f"bona fide where score >= {detector.threshold:.3f}, log-odds at the threshold of the EER on dev")
    if detector.note:
        print_text(f"trained on {printable(detector.note)}")


if __name__ == "__main__":
    sys.exit(main())
