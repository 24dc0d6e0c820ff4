"""Lists of trials of the ASVspoof challenges since 2021: an utterance a line, columns between blanks, no header.

Which columns there are is a layout, a tuple of their names. ``speaker``, ``file``, ``attack``, ``key`` and ``subset``
are what they say, ``""`` is left aside, and every other column is a condition of the utterance.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from trainables.audio.files import is_audio_name
from trainables.corpora.corpus import BONA_FIDE, Utterance
from trainables.corpora.reading.labels import read_label
from trainables.corpora.reading.listing import Listing

Layout = tuple[str, ...]
READERS = {5: "asvspoof2019-la", 8: "asvspoof2021-la", 10: "asvspoof5", 13: "asvspoof2021-df"}
"""Corpora by the number of columns of their lists."""
NO_ATTACK = ("-", "bonafide")
"""What lists have in place of the attack of bona fide utterances."""


class AudioFolders:
    """The audio files of several folders, found by their names without suffix."""

    def __init__(self, listing: Listing, folders: Sequence[Path]) -> None:
        """List the folders; one that cannot be read is a fault of the listing."""
        self._first = folders[0]
        # Listing folders is much faster than a stat of each of 680,000 files.
        self._files: dict[str, tuple[Path, str]] = {}
        for folder in folders:
            if listing.check_folder(folder):
                for file in sorted(os.listdir(folder)):  # FLAC before WAV, where a file is there as both
                    if is_audio_name(file):
                        stem, suffix = os.path.splitext(file)
                        self._files.setdefault(stem, (folder, suffix))

    def path(self, name: str) -> Path:
        """The file of an utterance; where there is none, that which the organisers' archive has."""
        folder, suffix = self._files.get(name, (self._first, ".flac"))
        return folder / f"{name}{suffix}"


def existing(folders: Iterable[Path]) -> list[Path]:
    """Those folders that exist, each once."""
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def add_trials(
    listing: Listing,
    split: str,
    path: Path,
    layouts: Sequence[Layout],
    folders: Sequence[Path],
    *,
    subsets: Mapping[str, str] | None = None,
    subset: str = "all",
) -> bool:
    """Add the utterances of a list to a split.

    Args:
        listing: takes the utterances, and a fault for each line that is none.
        split: where they go.
        path: the list.
        layouts: those it may have, which differ in the number of columns.
        folders: of the audio.
        subsets: for a layout with ``subset``, the names of subsets by the words that lists have.
        subset: the one to read, or ``all``.

    Returns:
        ``False`` if no line of it could be read, which then is one fault.
    """
    text = listing.read_text(path) if listing.check_folder(path.parent) else None
    if text is None:
        return False
    # Line numbers as in an editor; splitlines() also breaks at other characters.
    lines = text.split("\n")
    layout = _layout(listing, path, lines, layouts)
    if layout is None:
        return False
    audio, rows = AudioFolders(listing, folders), _Rows(layout, subsets or {}, subset)
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != len(layout):
            count = f"{len(columns)} columns"
            listing.fault(path, f"{count}; must be {len(layout)}: {_in_words(layout)}", number, kind=count)
            continue
        faults = rows.faults(columns)
        for fault in faults:
            listing.fault(path, fault, number)
        if not faults and rows.are_wanted(columns):
            listing.add(split, rows.utterance(columns, audio), path, number)
    if missing := rows.subset_fault():
        listing.fault(path, missing)
        return False
    return True


class _Rows:
    """Lines of one layout, already split into their columns."""

    def __init__(self, layout: Layout, subsets: Mapping[str, str], subset: str) -> None:
        self._fields = itemgetter(*(layout.index(name) for name in ("speaker", "file", "attack", "key")))
        names = [name for name in layout if name not in ("speaker", "file", "attack", "key", "")]
        self._places = [layout.index(name) for name in names]
        self._names = names
        self._known: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._place = layout.index("subset") if "subset" in layout else None
        self._subsets, self._subset, self._met = subsets, subset, Counter[str]()

    def faults(self, columns: list[str]) -> list[str]:
        _, name, attack, key = self._fields(columns)
        faults = []
        label = read_label(key)
        if label is None:
            faults.append(f"key must be bonafide or spoof; got {key!r}")
        elif (attack in NO_ATTACK) != (label == BONA_FIDE):
            faults.append(f"attack must be - for bonafide and a name for spoof; got {attack!r} with {key}")
        if name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            faults.append(f"file must be a name without a path; got {name!r}")
        if self._place is not None and columns[self._place] not in self._subsets:
            faults.append(f"subset must be one of {', '.join(self._subsets)}; got {columns[self._place]!r}")
        return faults

    def are_wanted(self, columns: list[str]) -> bool:
        """Whether a line without faults is in the subset that is read; its subset then has the name that is ours."""
        if self._place is None:
            return True
        found = columns[self._place] = self._subsets[columns[self._place]]
        self._met[found] += 1
        return self._subset in ("all", found)

    def subset_fault(self) -> str | None:
        if not self._met or self._subset == "all" or self._met[self._subset]:
            return None
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self._met.items()))
        return f"no line has subset {self._subset}; lines by subset: {counts}: choose another by --subset"

    def utterance(self, columns: list[str], audio: AudioFolders) -> Utterance:
        speaker, name, attack, _ = self._fields(columns)
        values = tuple([columns[place] for place in self._places])
        conditions = self._known.get(values)
        if conditions is None:  # one mapping for all utterances that share it: a list may have 680,000 lines
            told = ["-" if value in NO_ATTACK else value for value in values]
            conditions = self._known[values] = dict(zip(self._names, told, strict=True))
        label = BONA_FIDE if attack in NO_ATTACK else 1 - BONA_FIDE
        return Utterance(name, audio.path(name), label, speaker, "-" if label else attack, conditions)


def _layout(listing: Listing, path: Path, lines: Sequence[str], layouts: Sequence[Layout]) -> Layout | None:
    """The layout of the first line that is not blank; where it has none of them, that is the only fault."""
    number, columns = next(((number, line.split()) for number, line in enumerate(lines, 1) if line.strip()), (None, []))
    for layout in layouts:
        if len(columns) == len(layout):
            return layout
    if not columns:
        listing.fault(path, "is empty; a list has a line for each utterance")
        return None
    rule = " or ".join(f"{len(layout)} ({_in_words(layout)})" for layout in layouts)
    other = READERS.get(len(columns))
    cure = f": this is read by --corpus {other}" if other else ""
    listing.fault(path, f"{len(columns)} columns; must be {rule}{cure}", number)
    return None


def _in_words(layout: Layout) -> str:
    return " ".join(name.upper() if name else "-" for name in layout)
