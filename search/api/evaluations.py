"""Detectors evaluated on any corpus, as a call."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from search.display.progress import Display, make_display
from search.evaluating.detectors import FIRST, Source, find_detectors
from search.evaluating.evaluation import Request, evaluate
from search.evaluating.result import EvaluationResult
from search.runs.members import Member
from search.scoring.windowing import Windowing
from search.settings import values
from search.settings.corpus_options import CorpusSettings
from search.settings.options import default_cache


def evaluate_detectors(
    detectors: Source | Sequence[Source],
    *,
    corpus: str,
    split: str = "eval",
    by: str | Sequence[str] = (),
    windowing: Windowing | None = None,
    workers: int | None = None,
    cache: str | PathLike[str] | None = None,
    display: Display | None = None,
    **corpus_options: Any,
) -> EvaluationResult:
    """Score a split of a corpus by detectors, and compute their errors. Nothing is chosen by them.

    Args:
        detectors: folders or URIs of detectors or of exported fronts, or members of ``run.front``; one or several.
        corpus: name of the corpus, as for the command.
        split: ``train``, ``dev`` or ``eval``.
        by: condition or conditions that errors are broken down by: ``attack``, ``speaker``, or what the corpus knows
            besides, such as ``codec``.
        windowing: which windows of a recording are scored; ``None`` for the first, as where the front was made.
        workers: processes that decode; ``None`` for as many as are worth it.
        cache: folder of caches; ``None`` for the user's.
        display: shows how far it is; ``None`` for nothing.
        corpus_options: options of the corpus, as those of the command: ``corpus_root``, ``subset``, ...

    Returns:
        Errors as a table, and scores; `EvaluationResult.save` writes them.

    Raises:
        DropinError: not a detector, an option that is not right, a corpus that cannot be used, or an unknown condition.

    >>> from search import evaluate_detectors
    >>> evaluation = evaluate_detectors(scratch / "front", corpus="synthetic", by=["attack"], cache=tiny["cache"])
    >>> evaluation.save(scratch / "evaluation")
    >>> (scratch / "evaluation" / "evaluation.md").is_file()
    True
    """
    given = [detectors] if isinstance(detectors, (str, PathLike, Member)) else list(detectors)
    place = default_cache() if cache is None else values.PATH.checked(Path(cache))
    names = (by,) if isinstance(by, str) else tuple(by)
    request = Request(CorpusSettings(corpus=corpus, **corpus_options), split, names, place, workers)
    with display or make_display(quiet=True) as shown:
        return evaluate(find_detectors(given, windowing or FIRST), request, shown)
