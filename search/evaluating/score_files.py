"""Scores of utterances in the forms that the ASVspoof challenges take, a line for each utterance.

    2019    utterance attack key score     blank-separated; key is bonafide or spoof, attack is - for bona fide
    2021    utterance score                blank-separated
    5       filename cm-score              tab-separated, with this header

Source: the evaluation plans of ASVspoof 2019, 2021 and 5. A score has the digits that give the same number again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.evaluating.scores import SplitScores
from trainables.corpora.corpus import BONA_FIDE, Utterance
from trainables.errors import DropinError
from trainables.printable import printable


def _line_2019(one: Utterance, score: str) -> str:
    bonafide = one.label == BONA_FIDE
    return f"{one.name} {'-' if bonafide else one.attack} {'bonafide' if bonafide else 'spoof'} {score}\n"


LINES: Mapping[str, Callable[[Utterance, str], str]] = {
    "2019": _line_2019,
    "2021": lambda one, score: f"{one.name} {score}\n",
    "5": lambda one, score: f"{one.name}\t{score}\n",
}
"""How each form writes an utterance."""
HEADERS = {"5": "filename\tcm-score\n"}
SUFFIXES = {"2019": ".txt", "2021": ".txt", "5": ".tsv"}
DEFAULT = "2019"


def check_names(utterances: Sequence[Utterance], form: str) -> None:
    """Make sure that the names of utterances can be told apart from the columns beside them.

    Raises:
        DropinError: an unknown form, or a blank in a name or an attack where blanks separate columns.
    """
    if form not in LINES:
        raise DropinError(f"the form of scores must be one of {', '.join(LINES)}; got {form!r}: choose one of them")
    if form in HEADERS:
        return
    for one in utterances:
        for text in (one.name, one.attack) if form == "2019" else (one.name,):
            if text.split() != [text]:
                raise DropinError(
                    f"blanks separate the columns of scores in the form of {form}, so names must have none; got "
                    f"{printable(text)!r}: write them by --scores-format 5, in which tabs separate columns"
                )


def check_target(target: Path, *, folder: bool) -> None:
    """Make sure that scores can be written to a new file, or to a folder that is new or empty.

    Raises:
        DropinError: it is there already, or its folder cannot be written.
    """
    if folder and os.path.isdir(target) and not os.listdir(target):
        return
    if os.path.lexists(target):
        what = "a new or empty folder, where there are several detectors" if folder else "a new file"
        raise DropinError(f"--scores must be {what}; {target} is there already: name another, or delete it")
    existing = next(path for path in target.parents if os.path.exists(path))
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        raise DropinError(f"scores need a folder that can be written; {existing} is not: choose another by --scores")


def write_scores(path: Path, found: SplitScores, detector: int, form: str) -> None:
    """Write the scores of a detector, whole or not at all; utterances without a score have no line.

    Args:
        path: a file; its folder is made where there is none.
        found: scores of the split.
        detector: its place among the detectors.
        form: ``2019``, ``2021`` or ``5``.

    Raises:
        DropinError: see `check_names`.
        OSError: the file cannot be written.
    """
    check_names(found.utterances, form)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEADERS.get(form, ""))
        file.writelines(_lines(found.utterances, found.scores[detector], form))
    os.replace(part, path)


def write_all(target: Path, found: SplitScores, names: Sequence[str], form: str, *, folder: bool) -> list[Path]:
    """Write the scores of all detectors: one file for one detector, else a folder with a file for each.

    Args:
        target: the file or folder.
        found: scores of the split.
        names: short names of the detectors.
        form: see `write_scores`.
        folder: write a folder also for a single detector.

    Returns:
        The files.
    """
    if len(names) == 1 and not folder:
        paths = [target]
    else:
        files = [file_name(name) for name in names]
        if len(set(files)) < len(files):
            files = [f"{number}-{file}" for number, file in enumerate(files)]
        paths = [target / (file + SUFFIXES[form]) for file in files]
    for number, path in enumerate(paths):
        write_scores(path, found, number, form)
    return paths


def file_name(name: str) -> str:
    """A name of a detector as the name of a file."""
    return "-".join(part for part in name.replace(":", "/").split("/") if part not in ("", ".", "..")) or "detector"


def _lines(utterances: Sequence[Utterance], scores: npt.NDArray[np.float64], form: str) -> Iterator[str]:
    line = LINES[form]
    for one, score in zip(utterances, scores.tolist(), strict=True):
        if score == score:  # not NaN
            yield line(one, repr(score))
