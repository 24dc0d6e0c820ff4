"""Protocols: text files with a line for each utterance, in the forms in which people have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainables.audio.files import without_audio_suffix
from trainables.corpora.corpus import BONA_FIDE, SPOOF
from trainables.corpora.reading.labels import read_label
from trainables.corpora.reading.listing import Listing
from trainables.corpora.tally import CLASS_NAMES

KEYS = {"bonafide": BONA_FIDE, "spoof": SPOOF}
"""The keys of ASVspoof."""
UNKNOWN_ATTACK = "unknown"
"""The attack of spoofs whose attack the protocol does not name."""
_SEPARATORS = {",": "commas", ";": "semicolons"}
_ODD_IN_NAMES = re.compile(r"[/\\.\0]|^$")
_KEY_WORDS = frozenset({"key", "label", "class"})
_HEADER_WORDS = _KEY_WORDS | {
    *("speaker", "speakerid", "file", "filename", "fileid", "name", "path", "utterance", "utteranceid", "utt"),
    *("audiofilename", "attack", "attackid", "systemid", "system", "environment", "environmentid", "-"),
}


def protocol_lines(listing: Listing, path: Path, columns: str) -> Iterator[tuple[int, list[str]]] | None:
    """The lines of a protocol with the right number of columns; what is wrong with the others are faults.

    Blank lines are left out. A header line and columns that are separated by commas or semicolons are read, and
    noted once.

    Args:
        listing: takes faults and notes.
        path: of the protocol.
        columns: names of the columns, separated by blanks.

    Returns:
        Numbers, from 1, and columns; ``None`` after a fault of the whole file.
    """
    text = listing.read_text(path)
    if text is None:
        return None
    # Line numbers as in an editor; splitlines() also breaks at other characters.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line and not line.isspace()]
    if not lines:
        return iter(())
    separator = _separator(lines[0][1], len(columns.split()))
    if separator is not None:
        listing.note(path, f"its columns are separated by {_SEPARATORS[separator]}, and read so")
    first = _columns(lines[0][1], separator)
    if other := _other_corpus(first):
        listing.fault(path, f"has {len(first)} columns, as {other[0]} has: read it by --corpus {other[1]}")
        return None
    if header := _header(first):
        if header[-1] not in _KEY_WORDS:
            listing.fault(path, f"its columns must be {columns}, in this order; its header is {' '.join(first)}")
            return None
        listing.note(path, "its first line is a header, and left out")
        del lines[0]
    return _split_lines(listing, path, columns, lines, separator)


def _split_lines(
    listing: Listing, path: Path, columns: str, lines: Sequence[tuple[int, str]], separator: str | None
) -> Iterator[tuple[int, list[str]]]:
    # One after the other: lists of lists of this length take the collector of garbage seconds.
    count = len(columns.split())
    for number, line in lines:
        row = _columns(line, separator)
        if len(row) == count:
            yield number, row
        else:
            listing.fault(path, f"{len(row)} columns; must be {count}: {columns}", number, kind=f"{len(row)} columns")


def bare_name(text: str) -> str | None:
    """The name of an utterance: without a suffix, and without a folder in front; ``None`` for any other path."""
    if not _ODD_IN_NAMES.search(text):
        return text  # nearly all
    *folders, name = text.replace("\\", "/").split("/")
    if len(folders) > 1 or any(part in ("", ".", "..") or "\0" in part for part in (*folders, name)):
        return None
    return without_audio_suffix(name) or None


class Words:
    """Reads the keys of a protocol, and notes once which words stood for which class and what else was unusual."""

    def __init__(self) -> None:
        """Start without any."""
        self._keys: dict[str, int] = {}
        self.unknown_attacks = 0
        self.changed_names = 0

    def label(self, key: str) -> int | None:
        """The label of a key, or ``None``."""
        label = KEYS.get(key)
        if label is None:
            label = read_label(key)
            if label is not None:
                self._keys[key] = label
        return label

    def name(self, text: str) -> str | None:
        """The name of an utterance; see `bare_name`."""
        name = bare_name(text)
        self.changed_names += name is not None and name != text
        return name

    def note(self, listing: Listing, path: Path) -> None:
        """Note what was unusual in a protocol."""
        for label in (BONA_FIDE, SPOOF):
            words = sorted(key for key, its in self._keys.items() if its == label)
            if words:
                listing.note(path, f"{', '.join(words)} read as {CLASS_NAMES[label]}")
        if self.changed_names:
            listing.note(path, f"file names with a folder or suffix: {self.changed_names:,}, read without")
        if self.unknown_attacks:
            listing.note(
                path, f"spoofs without an attack (-): {self.unknown_attacks:,}, read as one attack, {UNKNOWN_ATTACK}"
            )


def _separator(line: str, count: int) -> str | None:
    """What separates columns where it is not blanks."""
    if len(line.split()) == count:
        return None
    return next((mark for mark in _SEPARATORS if len(line.split(mark)) >= count), None)


def _columns(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return [column.strip().strip('"').strip() or "-" for column in line.split(separator)]


def _header(row: Sequence[str]) -> list[str] | None:
    """The names of columns in a header, of small letters only, or ``None`` where a line is no header."""
    words = ["".join(filter(str.isalpha, column.lower())) or column for column in row]
    is_header = sum(word in _HEADER_WORDS for word in words) > len(row) / 2 and not _KEY_WORDS.isdisjoint(words)
    return words if is_header else None


def _other_corpus(row: Sequence[str]) -> tuple[str, str] | None:
    """The corpus and its name in ``corpora.NAMES`` whose protocols have such columns."""
    if len(row) in (8, 13) and read_label(row[5]) is not None:
        if len(row) == 13 or row[1].startswith("DF_"):
            return "ASVspoof 2021 DF", "asvspoof2021-df"
        return "ASVspoof 2021 LA", "asvspoof2021-la"
    if len(row) == 10 and read_label(row[8]) is not None:
        return "ASVspoof 5", "asvspoof5"
    return None
