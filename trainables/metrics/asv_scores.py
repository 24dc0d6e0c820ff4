"""Scores of the speaker verification (ASV) that a detector stands in front of, as the organisers publish them.

Their two forms belong to two forms of the cost in `min_tdcf`, so that a file says which of them is meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

KEYS = ("target", "nontarget", "spoof")
SHOWN_FAULTS = 20
SCORES_2021, METADATA_2021 = "score.txt", "trial_metadata.txt"


@dataclass(frozen=True)
class AsvScores:
    """Scores of a speaker verification system, higher for the claimed speaker.

    Attributes:
        target: the claimed speaker's own speech, [n_target].
        nontarget: other speakers' own speech, [n_nontarget].
        spoof: spoofs of the claimed speaker, [n_spoof].
        challenge: year of the challenge whose form of the t-DCF goes with them, 2019 or 2021; see `min_tdcf`.
    """

    target: npt.NDArray[np.float64]
    nontarget: npt.NDArray[np.float64]
    spoof: npt.NDArray[np.float64]
    challenge: int = 2019


def read_asv_scores(path: Path, *, subset: str = "eval") -> AsvScores:
    """Read the organisers' ASV scores.

    Two forms are known, one verification a line, columns separated by blanks:

    - ASVspoof 2019, ``ASVspoof2019.{LA,PA}.asv.{dev,eval}.gi.trl.scores.txt``: ``SOURCE KEY SCORE``, as in
      ``bonafide target 4.7`` or ``A07 spoof -1.3``. Only the last two columns are used, so files with more columns in
      front are read as well.
    - ASVspoof 2021, ``keys/LA/ASV/ASVtorch_kaldi/score.txt``, known by this name: ``SPEAKER FILE SCORE``. The key is in
      the same line of ``keys/LA/ASV/trial_metadata.txt``: ``SPEAKER FILE CODEC TRANSMISSION ATTACK KEY TRIM SUBSET``.

    Args:
        path: the file of scores.
        subset: of ASVspoof 2021, verifications of this subset count (eval, progress, hidden), or of ``all``.

    Raises:
        ValueError: no such file, not text, a line with too few columns, an unknown key, a score that is not a finite
            number, a key without any line, or files of 2021 that do not list the same verifications. All faulty lines
            are named at once (the first 20 by number).
    """
    is_2021 = path.name == SCORES_2021
    scores: dict[str, list[float]] = {key: [] for key in KEYS}
    faults: list[str] = []
    for number, line, key, text in _lines_2021(path, subset, faults) if is_2021 else _lines_2019(path, faults):
        score = _number(text)
        if key not in KEYS:
            faults.append(f"{path}:{number}: key must be one of {', '.join(KEYS)}; got {key!r} in {line!r}")
        elif math.isfinite(score):
            scores[key].append(score)
        else:
            faults.append(f"{path}:{number}: score must be a finite number; got {text!r}")
    if not faults:
        of = f" of subset {subset}" if is_2021 else ""
        faults = [f"{path}: no line{of} has the key {key!r}" for key in KEYS if not scores[key]]
    if faults:
        more = len(faults) - SHOWN_FAULTS
        raise ValueError("\n".join([*faults[:SHOWN_FAULTS], *([f"and {more} more faults"] if more > 0 else [])]))
    target, nontarget, spoof = (np.array(scores[key], dtype=np.float64) for key in KEYS)
    return AsvScores(target, nontarget, spoof, 2021 if is_2021 else 2019)


def _lines_2019(path: Path, faults: list[str]) -> Iterator[tuple[int, str, str, str]]:
    """Number, text, key and score of each line; faulty lines are left out and told."""
    for number, line in enumerate(_read(path), start=1):
        columns = line.split()
        if len(columns) >= 3:
            yield number, line, columns[-2], columns[-1]
        elif columns:
            faults.append(f"{path}:{number}: expected SOURCE KEY SCORE; got {line!r}")


def _lines_2021(path: Path, subset: str, faults: list[str]) -> Iterator[tuple[int, str, str, str]]:
    """Number, text, key and score of each line of the subset; faulty lines are left out and told."""
    metadata = path.parent.parent / METADATA_2021
    lines, described = _read(path), _read(metadata)
    if len(lines) != len(described):
        faults.append(
            f"{path} and {metadata} must list the same verifications; they have {len(lines)} and {len(described)} "
            "lines: unpack the organisers' keys again"
        )
        return
    for number, (line, about) in enumerate(zip(lines, described, strict=True), start=1):
        columns, facts = line.split(), about.split()
        if not columns and not facts:
            continue
        if len(columns) != 3 or len(facts) != 8 or columns[1] != facts[1]:
            faults.append(
                f"{path}:{number}: expected SPEAKER FILE SCORE, and 8 columns of the same file in {metadata}; got "
                f"{line!r} and {about!r}"
            )
        elif subset in ("all", facts[7]):
            yield number, about, facts[5], columns[2]


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"ASV scores cannot be read from {path}: {error}") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
