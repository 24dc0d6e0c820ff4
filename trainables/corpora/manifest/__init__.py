"""A manifest: a table of one's own recordings, with the columns path and label, and more where more is known."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainables.corpora.corpus import BONA_FIDE, SPLITS, Corpus, Utterance
from trainables.corpora.manifest.kept_splits import split_utterances
from trainables.corpora.options import SPLIT_SHARES
from trainables.corpora.reading.labels import BONA_FIDE_WORDS, SPOOF_WORDS, read_label
from trainables.corpora.reading.listing import Listing
from trainables.corpora.reading.protocols import UNKNOWN_ATTACK
from trainables.corpora.reading.tables import SUFFIXES, Table, read_table
from trainables.corpora.tally import CLASS_NAMES
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "recordings of a manifest"
ROOT = "the table that names its files"
VARIANTS: Mapping[str, str] = {}
FALLBACK = None
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ("split_shares", "split_seed")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "audio_path", "audio"),
    "label": ("label", "key", "class"),
    "split": ("split", "partition"),
    "speaker": ("speaker", "speaker_id", "speaker_name"),
    "attack": ("attack", "attack_id", "attack_type"),
}
"""Names of columns, in any case; where a table has several of them, the first counts."""
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "validation", "valid", "val"), "dev"),
    **dict.fromkeys(("eval", "test", "testing", "evaluation"), "eval"),
}
MAX_VALUES = 50
"""A further column with at most so many values is a condition of the utterances; others are left aside."""
_SHOWN = 10


def read(
    root: Path,
    *,
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    split_shares: tuple[float, float, float] = SPLIT_SHARES,
    split_seed: int = 0,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read a table and its files. An utterance is named by its path as it is written there.

    Without a column split, splits are made by speaker, see `made_splits`, and written as a table into the cache, which
    a note names. A spoof without attack has the attack ``unknown``.

    Whoever writes a manifest names files; so paths may be absolute, go up by ``..`` and lead through links to wherever
    they want, unlike names in the protocols of other corpora.

    Args:
        root: the file: CSV, TSV, Parquet or JSON lines, with the `COLUMNS`. Paths are relative to its folder.
        cache: folder; what was found out about files, and splits that are made, are kept there.
        splits: which are read; eval may be absent where others are asked for as well.
        split_shares: shares of train, dev and eval for splits that are made.
        split_seed: of their draw.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called with the number of checked files.

    Raises:
        DropinError: a folder.
        CorpusError: all faults of the manifest, each with its line.
        DropinError: the cache is full, or cannot be written.
    """
    path = Path(root).resolve()
    if path.is_dir():
        raise DropinError(
            f"a manifest must be a file, one of {', '.join(SUFFIXES)}; got the folder {path}: name the file in it by "
            "--corpus-root FILE"
        )
    listing = Listing("manifest", path.parent, cache=cache, follow_links=True)
    table = read_table(listing, path)
    rows = _Rows(listing, path)
    if table is not None:
        rows.read(table)
    if rows.sound and not rows.has_splits:
        rows.splits, notes = split_utterances(rows.utterances, split_shares, split_seed, cache)
        if tuple(splits) == ("eval",) and split_shares[2] < 1:
            notes.append("to evaluate on all its utterances, add --split-shares 0,0,1")
        for note in notes:
            listing.note(path, note)
    for one, line, split in zip(rows.utterances, rows.lines, rows.splits, strict=True):
        if split in splits:
            listing.add(split, one, path, line)
    required = _required(listing, path, rows, splits) if rows.sound else []
    return listing.corpus(required=required, skip_bad_files=skip_bad_files, progress=progress)


def _required(listing: Listing, path: Path, rows: _Rows, splits: Sequence[str]) -> list[str]:
    """Those splits that have utterances; what to do about others that are needed is a fault."""
    met = set(rows.splits)
    for split in splits:
        if split in met or (split == "eval" and len(splits) > 1):
            continue
        if rows.has_splits:
            words = " or ".join(word for word, its in SPLIT_WORDS.items() if its == split)
            listing.fault(path, f"no line has the split {words}: add some, or take the column away to have splits made")
        else:
            listing.fault(path, f"no utterance is in {split}: give it a larger share by --split-shares, or add some")
    return [split for split in splits if split in met]


@dataclass
class _Rows:
    """What the rows of a manifest say; faults and notes go to the listing.

    Attributes:
        listing: takes them.
        path: of the manifest.
        sound: whether there are rows, and none has a fault.
        has_splits: whether there is a column split.
        utterances: of the rows without fault.
        splits: those of the utterances; all ``train`` as long as there are none.
        lines: those of the utterances.
        labels: label and number of rows of each word.
        turned: number of paths with the separators of Windows.
    """

    listing: Listing
    path: Path
    sound: bool = False
    has_splits: bool = False
    utterances: list[Utterance] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    labels: dict[str, tuple[int, int]] = field(default_factory=dict)
    turned: int = 0

    def read(self, table: Table) -> None:
        """Read all rows."""
        places = {role: _place(table.columns, names) for role, names in COLUMNS.items()}
        if missing := [role for role in ("path", "label") if places[role] is None]:
            found = ", ".join(table.columns[:_SHOWN]) or "nothing"
            cure = f"must name the columns path and label; it has no {' and no '.join(missing)}; got {found}"
            self.listing.fault(self.path, cure, 1)
            return
        self.sound, self.has_splits = bool(table.rows), places["split"] is not None
        others = self._other_columns(table, {place for place in places.values() if place is not None})
        names = [table.columns[place] for place in others]
        seen: dict[str, int] = {}
        known: dict[tuple[str, ...], Mapping[str, str]] = {}
        for number, row in table.rows:
            said = {role: "" if place is None else row[place] for role, place in places.items()}
            faults = self._faults(said, number, seen)
            for fault in faults:
                self.listing.fault(self.path, fault, number)
            if faults:
                self.sound = False
                continue
            values = tuple([row[place] or "-" for place in others])
            conditions = known.setdefault(values, dict(zip(names, values, strict=True)))
            self._add(said, conditions, number)
        if not table.rows:
            self.listing.fault(self.path, "has no rows; add a line for each file")
        self._note_what_was_read_how()

    def _other_columns(self, table: Table, taken: set[int]) -> list[int]:
        """Places of the columns that are conditions."""
        others: list[int] = []
        aside: list[int] = []
        for place, name in enumerate(table.columns):
            if place in taken or not name:
                continue
            values: set[str] = set()
            for _, row in table.rows:
                values.add(row[place])
                if len(values) > MAX_VALUES:
                    break
            (others if len(values) <= MAX_VALUES else aside).append(place)
        names = [", ".join(table.columns[place] for place in places) for places in (others, aside)]
        if others:
            self.listing.note(self.path, f"conditions that results can be broken down by: {names[0]}")
        if aside:
            self.listing.note(
                self.path, f"columns with more than {MAX_VALUES} values, which are left aside: {names[1]}"
            )
        return others

    def _faults(self, said: Mapping[str, str], number: int, seen: dict[str, int]) -> list[str]:
        faults = [
            f"{role} must be text without control characters; got {text!r}"
            for role, text in said.items()
            if not text.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs") for one in text)
        ]
        path = said["path"]
        if not path:
            faults.append("path must be the name of a file; got nothing")
        elif not faults:
            first = seen.setdefault(os.path.normpath(self.path.parent / path), number)
            if first != number:
                faults.append(f"a file must have one line; got {path}, which line {first} has")
        label = read_label(said["label"])
        if label is None:
            faults.append(f"label must be bonafide or spoof (also real or fake, 1 or 0); got {said['label']!r}")
        elif label == BONA_FIDE and said["attack"] and _is_attack(said["attack"]):
            faults.append(f"attack must be - or nothing for bona fide; got {said['attack']!r}")
        if self.has_splits and said["split"].casefold() not in SPLIT_WORDS:
            faults.append(f"split must be train, dev or eval (also validation, test); got {said['split']!r}")
        return faults

    def _add(self, said: Mapping[str, str], conditions: Mapping[str, str], number: int) -> None:
        label = read_label(said["label"])
        assert label is not None  # or it would be a fault
        word = said["label"].casefold()
        self.labels[word] = (label, self.labels.get(word, (label, 0))[1] + 1)
        attack = "-" if label == BONA_FIDE else said["attack"] if _is_attack(said["attack"]) else UNKNOWN_ATTACK
        name = said["path"]
        one = Utterance(name, self.path.parent / self._as_here(name), label, said["speaker"] or "-", attack, conditions)
        self.utterances.append(one)
        self.splits.append(SPLIT_WORDS[said["split"].casefold()] if self.has_splits else SPLITS[0])
        self.lines.append(number)

    def _as_here(self, path: str) -> str:
        """A path as it is on this system; one that was written on Windows has other separators."""
        if "\\" not in path or "/" in path:
            return path
        self.turned += 1
        return path.replace("\\", "/")

    def _note_what_was_read_how(self) -> None:
        """Which word was read as which class, above all: a ``1`` may have been meant as a fake."""
        parts = [
            f"{word!r} as {CLASS_NAMES[label]} ({count:,})"
            for word, (label, count) in sorted(self.labels.items(), key=lambda item: -item[1][0])
        ]
        if parts:
            self.listing.note(self.path, f"label {', '.join(parts)}")
        if self.turned:
            self.listing.note(self.path, f"\\ read as / in {self.turned:,} paths")


def _place(columns: Sequence[str], names: Sequence[str]) -> int | None:
    folded = [column.casefold() for column in columns]
    return next((folded.index(name) for name in names if name in folded), None)


def _is_attack(text: str) -> bool:
    """Whether a value names an attack, and does not just say that there is none, or repeat the class."""
    return text not in ("", "-") and text.casefold() not in ("none", *BONA_FIDE_WORDS, *SPOOF_WORDS)
