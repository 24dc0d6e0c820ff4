"""The command that uses a detector: ``python -m search.score DETECTOR FILES...``."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from search.api.detectors import Detector, load_detector
from search.cluster import home
from search.display import terminal
from search.display.terminal import print_error, print_text
from search.scoring.inputs import audio_files, listed
from search.scoring.output import KINDS, Output, check_suffix, json_line
from search.scoring.scored import Scored
from search.scoring.scorer import Scorer
from search.scoring.together import score_files
from search.scoring.windowing_options import add_windowing, windowing_of
from search.settings import values
from search.settings.command_line import Parser
from trainables.errors import DropinError
from trainables.printable import printable

if TYPE_CHECKING:
    from search.scoring.timeline import Timelines

INTERRUPTED = 130
STYLES = {"bona fide": "\x1b[32m", "spoof": "\x1b[31m"}
PLAIN = "\x1b[0m"


def main(arguments: Sequence[str] | None = None) -> int:
    """Score audio files from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when a file could not be scored, 2 when the detector or an output cannot be used, 130 when interrupted.
    """
    terminal.prepare()
    parser = _parser()
    given = parser.parse_intermixed_args(arguments)  # or files would have to come before options
    if not given.files and given.list is None:
        parser.error("name files, folders or patterns to score, or a list of them by --list FILE")
    try:
        windowing = windowing_of(vars(given))
        if given.to is not None:
            check_suffix(given.to)
        detector = load_detector(given.detector)
        scorer = detector.scorer(windowing)
        lines = _lines(given.list)
    except DropinError as error:
        print_error(error)
        return 2
    with contextlib.ExitStack() as stack:
        show = _Show(given, detector, scorer)
        try:
            outputs = [stack.enter_context(Output(given.to, scorer))] if given.to is not None else []
            timelines = _timelines(given.timeline, scorer)
            names: Iterable[str] = audio_files(itertools.chain(given.files, lines), show.fault)
            if given.list != "-":
                names = list(names)  # so that it is known how many there are
            for one in show.progress(score_files(scorer, names, workers=given.workers), names):
                show.result(one)
                for output in outputs:
                    output.add(one)
                for timeline in timelines:
                    timeline.write(one)
        except DropinError as error:
            print_error(error)
            return 2
        except KeyboardInterrupt:
            return INTERRUPTED
    return show.end()


def _parser() -> Parser:
    parser = Parser(
        "search.score",
        "Tell bona fide speech from deepfakes. A recording is scored in windows of the length that the detector was "
        "trained on (4 s unless its card says otherwise); one that is shorter is repeated. Exit status: 0 when all "
        "were scored, 1 when some could not be, 2 when the detector or an output cannot be used.",
    )
    parser.add_argument(
        "detector",
        type=values.PATH_OR_URI.parsed,
        metavar="DETECTOR",
        help="folder or URI of a detector, such as front/detectors/0",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="audio of any format and rate that libsndfile decodes; a folder for all audio in it and in its folders; a "
        "pattern; - for audio from standard input",
    )
    parser.add_argument("--list", metavar="FILE", help="a file with one of these a line; - for standard input")
    add_windowing(parser, "all")
    parser.add_argument(
        "--timeline",
        type=values.PATH.parsed,
        metavar="FOLDER",
        help="for each file, write the scores of its windows there as CSV and as a picture",
    )
    parser.add_argument(
        "--to", type=values.PATH.parsed, metavar="FILE", help=f"write the scores there; ends in {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--workers",
        type=values.whole(1).parsed,
        metavar="N",
        help="processes (default: one per CPU where the files take long enough)",
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON for each file instead of a table")
    return parser


def _timelines(folder: Path | None, scorer: Scorer) -> list[Timelines]:
    """What draws the scores of windows, if that is asked for."""
    if folder is None:
        return []
    home.provide()
    from search.scoring.timeline import Timelines  # matplotlib, which looks for a home folder when it is imported

    return [Timelines(folder, scorer)]


def _lines(file: str | None) -> Iterator[str]:
    """The names in a list, which is opened at once.

    Raises:
        DropinError: it cannot be read.
    """
    if file is None:
        return iter(())
    # Names of files may be no text: their bytes are kept.
    try:
        place: str | int = 0 if file == "-" else file
        stream = open(place, encoding="utf-8", errors="surrogateescape", closefd=file != "-")  # noqa: SIM115
    except OSError as error:
        raise DropinError(
            f"--list must be a file with a name a line; {file} cannot be read: {error.strerror}"
        ) from error
    return listed(stream)


class _Show:
    """What the terminal shows: a line a file, a bar while there is one, and at the end what did not work."""

    def __init__(self, given: argparse.Namespace, detector: Detector, scorer: Scorer) -> None:
        self._json, self._quiet = given.json, given.to is not None and not given.json
        self._detector, self._scorer = detector, scorer
        self._terminal = sys.stdout.isatty()
        self._colour = self._terminal and not Console().no_color
        self._errors = Console(stderr=True)
        self._scored = self._failed = 0
        self._to: Path | None = given.to

    def progress(self, results: Iterable[Scored], names: Iterable[str]) -> Iterator[Scored]:
        """The results, with a bar on stderr where that is a terminal."""
        columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        total = len(names) if isinstance(names, list) else None
        with Progress(
            *columns,
            console=self._errors,
            transient=True,
            redirect_stdout=self._terminal,  # or what is meant for a file would be shown above the bar
            disable=not self._errors.is_terminal,
        ) as bar:
            yield from bar.track(results, total)

    def result(self, one: Scored) -> None:
        """A line for a file: on stdout its score, on stderr why it has none."""
        if self._json:
            print_text(json_line(self._scorer, one))
        elif one.score is not None and not self._quiet:
            self._line(one.file, one.score)
        for note in one.notes:
            print_error(f"note: {printable(one.file)}: {printable(note)}")
        if one.error is None:
            self._scored += 1
        else:
            self.fault(printable(one.error))

    def fault(self, line: str) -> None:
        """Something that cannot be scored."""
        self._failed += 1
        print_error(line)

    def end(self) -> int:
        """The last lines, and the exit status."""
        if not self._json and self._scored:
            if self._to is not None:
                print_text(f"{self._scored:,} scores in {printable(self._to)}")
            print_text(f"bona fide where score >= {self._scorer.threshold:.3f}")
            if self._scorer.note:
                print_text(f"trained on {printable(self._scorer.note)}")
        if self._failed:
            print_error(f"{self._failed:,} of {self._failed + self._scored:,} could not be scored")
        return int(bool(self._failed))

    def _line(self, file: str, score: float) -> None:
        if not self._scored:
            print_text(f"{'score':>10}  {'verdict':9}  file")
        verdict = self._scorer.verdict(score)
        shown = f"{verdict:9}"
        if self._colour:
            shown = f"{STYLES[verdict]}{shown}{PLAIN}"
        print(f"{score:10.3f}  {shown}  {printable(file)}")


class _Rate(ProgressColumn):
    """Files a second."""

    def render(self, task: Task) -> Text:
        """As of now."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} files/s")


if __name__ == "__main__":
    sys.exit(main())
