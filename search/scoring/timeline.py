"""The scores of a recording over time: a table and a picture."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from search.scoring.scored import Scored
from search.scoring.scorer import Scorer
from trainables.errors import DropinError
from trainables.printable import printable

BONA_FIDE, SPOOF = "#2a7f62", "#b3362b"
MOST_NAME_BYTES = 200
SHOWN_NAME = 80


class Timelines:
    """A folder with a CSV and a PNG for each recording, named as its file is."""

    def __init__(self, folder: Path, scorer: Scorer) -> None:
        """Write into `folder`, which is made.

        Raises:
            DropinError: it cannot be made.
        """
        self._folder, self._scorer = folder, scorer
        self._taken: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(folder, error) from error

    def write(self, one: Scored) -> Path | None:
        """Write the files of a recording that has windows.

        Returns:
            The picture, or ``None`` for a file that could not be read.

        Raises:
            DropinError: they cannot be written.
        """
        if not one.windows:
            return None
        name = self._name(one.file)
        try:
            _write_csv(self._folder / f"{name}.csv", one)
            picture = self._folder / f"{name}.png"
            draw(one, self._scorer.threshold).savefig(picture, dpi=120)
        except OSError as error:
            raise _not_written(self._folder, error) from error
        return picture

    def _name(self, file: str) -> str:
        """The file's own name, with a number where another has it already."""
        plain = printable(os.path.basename(file)).replace("\\", "_") or "recording"
        name = plain = plain.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
        number = 1
        while name in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name)
        return name


def draw(one: Scored, threshold: float) -> Figure:
    """The score of each window over time, with the threshold.

    Args:
        one: a recording with windows.
        threshold: bona fide where the score is at least this.
    """
    with matplotlib.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.add_subplot()
        scored = [window for window in one.windows if window.score == window.score]
        for wanted, colour, label in ((True, BONA_FIDE, "bona fide"), (False, SPOOF, "spoof")):
            some = [window for window in scored if (window.score >= threshold) == wanted]
            if some:
                scores = [window.score for window in some]
                axes.hlines(scores, [w.start for w in some], [w.end for w in some], colour, linewidth=2, alpha=0.35)
                axes.plot([(w.start + w.end) / 2 for w in some], scores, "o", color=colour, markersize=4, label=label)
        for window in one.windows:
            if window.score != window.score:
                axes.axvspan(window.start, window.end, color="0.9", linewidth=0)
        axes.axhline(threshold, color="0.25", linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
        axes.set_xlim(0, one.windows[-1].end)
        axes.set_xlabel("time in seconds (a bar is a window; grey: no signal)")
        axes.set_ylabel("score, higher for bona fide")
        shown = printable(one.file)
        verdict = "" if one.score is None else f": {one.score:.3f}"
        axes.set_title((shown if len(shown) <= SHOWN_NAME else f"...{shown[-SHOWN_NAME:]}") + verdict, fontsize=10)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _write_csv(path: Path, one: Scored) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "end", "score"])
        for window in one.windows:
            score = repr(window.score) if window.score == window.score else ""
            writer.writerow([f"{window.start:.4f}", f"{window.end:.4f}", score])


def _not_written(folder: Path, error: OSError) -> DropinError:
    return DropinError(f"{folder} cannot be written ({error.strerror or error}): name another folder by --timeline")
