"""The utterances that a reader collects and all their faults, which are raised together at the end."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, CorpusError, Utterance
from trainables.corpora.reading.faults import Fault, folded, location
from trainables.corpora.reading.file_checks import OUTSIDE, check_files, kept_place
from trainables.corpora.reading.texts import NotTextError, decoded
from trainables.corpora.tally import Tally, line, tallies, unequal_loss
from trainables.printable import printable
from trainables.progress import Progress, silent

MAX_SKIPPED = 0.01
"""Largest share of the utterances that may be left out because their files are bad."""
MAX_NAME_BYTES = 255
"""Limit of common file systems."""

Entry = tuple[Utterance, Path, "int | None"]
"""An utterance and where it is listed: in a line of a protocol, or as the audio file itself."""


class Listing:
    """Collects the utterances and faults of a corpus while it is read; `corpus` raises all faults at once.

    A corpus is untrusted input: names of files, speakers and attacks must have no control characters, and a fault is
    one line of printable text. Files must be below the root or a folder of the corpus' layout. Such folders, which the
    reader names and no text of the corpus does, may be links to wherever their owner keeps the data. Files that are
    links may not lead out of the folders that they are in, unless all links are followed.
    """

    def __init__(self, name: str, root: Path, *, cache: Path | None = None, follow_links: bool = False) -> None:
        """Start an empty listing.

        Args:
            name: of the corpus.
            root: its folder.
            cache: the cache folder, in which what was found out about files is kept; ``None`` keeps nothing.
            follow_links: files may be anywhere, behind symbolic links.
        """
        self.name = name
        self.root = root
        self.cache = cache
        self.follow_links = follow_links
        self._entered = {root: root.resolve()}
        self._faults: list[Fault] = []
        self._notes: list[str] = []
        self._splits: dict[str, list[Entry]] = {split: [] for split in SPLITS}
        self._left_out: dict[str, list[tuple[int, str]]] = {split: [] for split in SPLITS}
        self._seen: dict[str, tuple[Path, int | None]] = {}
        self._unusable_folders: set[Path] = set()

    def fault(self, path: Path, fault: str, line: int | None = None, *, kind: str | None = None) -> None:
        """Add a fault of a file or folder, or of a line of it.

        Args:
            path: of the file or folder.
            fault: what is wrong with it: the rule, and behind ``; got`` the value.
            line: its number, from 1.
            kind: equal for faults that differ in names and values only, by default the fault up to ``; got``. Where
                there are many of a kind in a file, they become one line.
        """
        self._faults.append(Fault(path, fault, line, fault.partition("; got")[0] if kind is None else kind))

    def note(self, path: Path, note: str) -> None:
        """Add what the corpus' user is told once of a file or folder that was read."""
        self._notes.append(f"{self._location(path)}: {printable(note)}")

    def leave_out(self, split: str, label: int, reason: str) -> None:
        """Count a file of a class that is not read, by the reason for that."""
        self._left_out[split].append((label, reason))

    def enter(self, folder: Path) -> None:
        """Let files below a folder be where it leads, if it is a link. No text of the corpus may have named it."""
        self._entered[folder] = folder.resolve()

    def check_folder(self, folder: Path) -> bool:
        """Whether a folder of the layout can be read, and `enter` it.

        If it cannot, that is one fault, and its files are no further faults.
        """
        if not folder.is_dir():
            fault = "no such folder"
        elif not os.access(folder, os.R_OK | os.X_OK):
            fault = "permission denied"
        else:
            self.enter(folder)
            return True
        self.fault(folder, fault)
        self._unusable_folders.add(folder)
        return False

    def contains(self, path: Path) -> bool:
        """Whether a file, after resolving links, is below where the folders lead that it is in, or may be anywhere."""
        if self.follow_links:
            return True
        try:
            real = path.resolve()
        except (OSError, RuntimeError):  # a cycle of links
            return False
        return any(real.is_relative_to(self._entered[one]) for one in (path, *path.parents) if one in self._entered)

    def read_text(self, path: Path) -> str | None:
        """Content of a text file in a folder of the layout, with newlines as line ends; ``None`` after a fault."""
        try:
            self.enter(path.parent)
            if not self.contains(path):
                self.fault(path, OUTSIDE)
            elif not path.exists():
                self.fault(path, "no such protocol")
            elif not path.is_file():
                self.fault(path, "not a file")
            else:
                return decoded(path.read_bytes())
        except (OSError, RuntimeError) as error:  # the latter for a cycle of links
            self.fault(path, f"not a readable text file ({error})")
        except NotTextError as error:
            self.fault(path, str(error), error.line)
        return None

    def add(self, split: str, utterance: Utterance, source: Path, line: int | None = None) -> None:
        """Add an utterance to a split, with its source: a line of a protocol, or the audio file itself."""
        if utterance.name in self._seen:
            first = self._location(*self._seen[utterance.name])
            self.fault(source, f"duplicate utterance {utterance.name}, first in {first}", line, kind="duplicate")
        elif faults := _text_faults(utterance):
            for fault in faults:
                self.fault(source, fault, line)
        else:
            self._seen[utterance.name] = (source, line)
            self._splits[split].append((utterance, source, line))

    def corpus(
        self,
        *,
        required: Sequence[str] = SPLITS,
        asv_scores: Mapping[str, Path] | None = None,
        note: str = "",
        skip_bad_files: bool = False,
        progress: Progress = silent,
    ) -> Corpus:
        """Check the file of every utterance and the classes of every split, and build the corpus.

        Its notes are those that were added, and a line for each split with what was found, read and left out.

        Args:
            required: splits that must have both classes; the others may also be empty.
            asv_scores: see `Corpus`.
            note: see `Corpus`.
            skip_bad_files: leave out utterances whose file is missing, unreadable or empty, up to 1 % of all, and let
                classes lose different shares of their files. No other fault is ever ignored.
            progress: called with the number of checked files, of those that the cache does not know.

        Raises:
            CorpusError: all faults.
            DropinError: the cache cannot be written.
        """
        bad, contents = self._check_files(progress)
        total = len(self._seen)
        skip = skip_bad_files and len(bad) <= MAX_SKIPPED * total
        splits = {
            split: tuple(one for one, *_ in entries if not (skip and one.name in bad))
            for split, entries in self._splits.items()
        }
        counts = {split: self._count(split, bad) for split in SPLITS if self._splits[split] or self._left_out[split]}
        faults = [*folded(self._faults, self.root), *_class_faults(splits, required)]
        if not skip_bad_files:
            # What is wrong with a file is a fault by itself; here are those that are left out in silence.
            silent_loss = {
                split: tallies((one.label for one in splits[split]), self._left_out[split]) for split in counts
            }
            faults += [f"{split}: {fault}" for split, its in silent_loss.items() if (fault := unequal_loss(its))]
        summary = self._summary(len(bad), total, skip_bad_files=skip_bad_files, skip=skip, only_files=not faults)
        if not skip:
            faults += folded(list(bad.values()), self.root)
        if faults:
            raise CorpusError(summary, faults)
        corpus = Corpus(
            self.name,
            self.root,
            splits,
            skipped=tuple(fault.shown(self.root) for fault in bad.values()),
            asv_scores=dict(asv_scores or {}),
            note=note,
            notes=(*self._notes, *(line(split, its) for split, its in counts.items())),
            counts=counts,
            contents=contents,
        )
        corpus.digest()  # every user of a corpus asks for it; `read` has no garbage collected meanwhile
        return corpus

    def _summary(self, bad: int, total: int, *, skip_bad_files: bool, skip: bool, only_files: bool) -> str:
        """What is wrong in one line, and whether leaving out the files that are bad would help."""
        summary = f"corpus {self.name} in {printable(self.root)} cannot be used"
        if skip or not bad:
            return summary
        if skip_bad_files:
            share = f"{bad} of {total} utterances ({bad / total:.1%})"
            return f"{summary}: {share} have bad files, at most {MAX_SKIPPED:.0%} may be skipped"
        if only_files and bad <= MAX_SKIPPED * total:
            return f"{summary} (--skip-bad-files would leave these utterances out)"
        return summary

    def _location(self, path: Path, line: int | None = None) -> str:
        return location(path, line, self.root)

    def _count(self, split: str, bad: Mapping[str, Fault]) -> dict[str, Tally]:
        entries = self._splits[split]
        bad_files = [(one.label, bad[one.name].kind) for one, *_ in entries if one.name in bad]
        return tallies((one.label for one, *_ in entries if one.name not in bad), [*self._left_out[split], *bad_files])

    def _check_files(self, progress: Progress) -> tuple[dict[str, Fault], dict[str, str]]:
        """Faults of files, and the hashes of the others' contents, by utterance."""
        entries = [entry for split in SPLITS for entry in self._splits[split]]
        if self._unusable_folders:
            entries = [entry for entry in entries if entry[0].path.parent not in self._unusable_folders]
        verdicts = check_files(
            [one.path for one, *_ in entries],
            root=self.root,
            may_follow=self.contains,
            kept=None if self.cache is None else kept_place(self.cache, self.name, self.root),
            progress=progress,
        )
        bad: dict[str, Fault] = {}
        contents: dict[str, str] = {}
        for (one, source, number), (fault, content, _) in zip(entries, verdicts, strict=True):
            if fault is None:
                contents[one.name] = content
            else:
                text = fault if source == one.path else f"{self._location(one.path)} {fault}"
                bad[one.name] = Fault(source, text, number, fault.partition(" (")[0])
        odd = [(one.path, verdict.note) for (one, *_), verdict in zip(entries, verdicts, strict=True) if verdict.note]
        if odd:
            first, note = odd[0]
            self.note(first, f"{note} (files with a header that does not fit: {len(odd):,})")
        return bad, contents


def _text_faults(utterance: Utterance) -> list[str]:
    """Faults of the names of an utterance's file, speaker, attack and conditions."""
    file = utterance.path.name
    plain = not utterance.conditions and f"{file}{utterance.speaker}{utterance.attack}".isprintable()
    if plain and len(file) < MAX_NAME_BYTES // 4:
        return []  # nearly all, and there may be hundreds of thousands
    texts = {"file": file, "speaker": utterance.speaker, "attack": utterance.attack, **utterance.conditions}
    faults = [
        f"{kind} must be text without control characters; got {text!r}"
        for kind, text in texts.items()
        if not text.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
    ]
    length = len(file.encode("utf-8", "surrogateescape"))
    if length > MAX_NAME_BYTES:
        faults.append(f"file must have a name of at most {MAX_NAME_BYTES} bytes; got {length}")
    return faults


def _class_faults(splits: Mapping[str, Sequence[Utterance]], required: Sequence[str]) -> list[str]:
    faults = []
    for split in SPLITS:
        labels = {one.label for one in splits[split]}
        missing = [name for label, name in ((BONA_FIDE, "bona fide"), (SPOOF, "spoof")) if label not in labels]
        if missing and (labels or split in required):
            faults.append(f"{split}: a split needs both classes; it has no {' and no '.join(missing)} utterance")
    return faults
