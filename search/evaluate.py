"""The command that evaluates detectors on any corpus: ``python -m search.evaluate DETECTOR... --corpus NAME``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from search.display import terminal
from search.display.progress import Display
from search.display.terminal import command, print_error
from search.evaluating import score_files, tables
from search.evaluating.detectors import find_detectors
from search.evaluating.evaluation import Request, evaluate
from search.evaluating.result import EvaluationResult
from search.reporting import export_folder
from search.scoring.windowing_options import add_windowing, windowing_of
from search.settings import values
from search.settings.command_line import Parser, add_options
from search.settings.corpus_options import CorpusSettings
from search.settings.declaration import options_of
from search.settings.options import default_cache
from trainables.corpora.corpus import SPLITS
from trainables.errors import DropinError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate detectors from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Returns:
        0, or 1 when the evaluation failed, 2 when the command line is wrong, 130 when interrupted.
    """
    terminal.prepare()
    given = vars(_parser().parse_args(arguments))
    try:
        request = _request(given)
        detectors = find_detectors(given["detectors"], windowing_of(given))
        _check_targets(given, several=len(detectors) > 1)
    except DropinError as error:
        print_error(error)
        return 2
    display = Display()
    try:
        with display:
            result = evaluate(detectors, request, display)
        _show(result)
        _write(result, given, display)
    except (ValueError, OSError) as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print_error("interrupted; nothing was written")
        return INTERRUPTED
    return 0


def _parser() -> Parser:
    parser = Parser(
        "search.evaluate",
        "Evaluate detectors on any corpus: EER with its interval, detection costs, errors at their own threshold, "
        "pooled and by condition. Nothing is chosen by these numbers.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "detectors",
        nargs="+",
        metavar="DETECTOR",
        help="folder or URI of a detector, such as front/detectors/0, or of a front that search.export wrote, for all "
        "of its detectors",
    )
    options = options_of(CorpusSettings)
    options["corpus"] = replace(options["corpus"], help="speech corpus to evaluate on", default_text="")
    add_options(parser, options)
    what = parser.add_argument_group("what is evaluated")
    what.add_argument(
        "--split",
        type=values.one_of(lambda: SPLITS).parsed,
        default="eval",
        metavar="{" + ",".join(SPLITS) + "}",
        help="split of the corpus (default: eval)",
    )
    what.add_argument(
        "--by",
        type=_names,
        default=(),
        metavar="NAME,NAME",
        help="break errors down by attack, speaker, or what the corpus knows besides, such as codec",
    )
    add_windowing(what, "first")
    _add_outputs(parser.add_argument_group("what is written"))
    where = parser.add_argument_group("where")
    where.add_argument(
        "--cache",
        type=values.PATH.parsed,
        metavar="DIR",
        help="folder of caches (default: DROPIN_CACHE, or dropin in the user's cache folder)",
    )
    where.add_argument(
        "--workers",
        type=values.whole(1).parsed,
        metavar="N",
        help="processes that decode and score (default: one for each CPU where the files take long enough)",
    )
    return parser


def _add_outputs(written: argparse._ArgumentGroup) -> None:
    written.add_argument(
        "--to",
        type=values.PATH.parsed,
        metavar="DIR",
        help="folder for tables (JSON, Parquet, Markdown) and DET curves; an earlier evaluation there is replaced, "
        "anything else is left alone",
    )
    written.add_argument(
        "--scores",
        nargs="?",
        type=values.PATH.parsed,
        const=True,
        metavar="PATH",
        help="write scores to a new file, or of several detectors to files in a new folder; without PATH to the folder "
        "of --to",
    )
    written.add_argument(
        "--scores-format",
        type=values.one_of(lambda: score_files.LINES).parsed,
        default=score_files.DEFAULT,
        metavar="{" + ",".join(score_files.LINES) + "}",
        help=f"form of scores, by the ASVspoof challenge that takes it (default: {score_files.DEFAULT})",
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"must be names with commas between them; got {text!r}")
    return names


def _request(given: Mapping[str, Any]) -> Request:
    """What is asked for.

    Raises:
        DropinError: no corpus, or options of it that do not go together.
    """
    if "corpus" not in given:
        raise DropinError("--corpus must name what detectors are evaluated on; got none: add --corpus NAME")
    settings = CorpusSettings(**{name: given[name] for name in options_of(CorpusSettings) if name in given})
    scores = given["scores_format"] if "scores" in given else None
    cache = given["cache"] if "cache" in given else default_cache()
    return Request(settings, given["split"], given["by"], cache, given.get("workers"), scores)


def _check_targets(given: Mapping[str, Any], *, several: bool) -> None:
    """Make sure that what is to be written can be written.

    Raises:
        DropinError: a folder with other files, a file that is there already, or no folder for the scores.
    """
    if "to" in given:
        export_folder.check(given["to"], export_folder.EVALUATION)
    if given.get("scores") is True:
        if "to" not in given:
            raise DropinError("--scores without a path writes to the folder of --to; it is not given: add --to DIR")
    elif "scores" in given:
        score_files.check_target(given["scores"], folder=several)


def _show(result: EvaluationResult) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # a row a line, whoever reads it
    tables.show(result.evaluation, console)


def _write(result: EvaluationResult, given: Mapping[str, Any], display: Display) -> None:
    for note in result.notes:
        display.message(f"note: {note}")
    target: Path | None = given.get("to")
    scores: Path | bool | None = given.get("scores")
    if target is not None:
        result.save(target, scores=given["scores_format"] if scores is True else None)
        display.message(f"evaluation: {target / 'evaluation.md'}, {target / 'det.png'}")
        display.message(f"report: {command('search.report', 'RUN', '--front', 'DIR', '--evaluation', target)}")
    if isinstance(scores, Path):
        for path in result.write_scores(scores, given["scores_format"]):
            display.message(f"scores: {path}")


if __name__ == "__main__":
    sys.exit(main())
