"""The utterances that a reader collects and all their faults, which are raised together at the end."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainables.corpora.audio import header_fault
from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, CorpusError, Utterance
from trainables.printable import printable
from trainables.progress import Progress, silent

MAX_SKIPPED = 0.01
"""Largest share of the utterances that may be left out because their files are bad."""
# Headers are small reads: threads hide the latency of network disks, but more than these do not help.
_THREADS = 8
_FILES_PER_TASK = 64
MAX_NAME_BYTES = 255
"""Limit of common file systems."""
OUTSIDE = "is a link to a path outside the corpus; replace it by the file"


class Listing:
    """Collects the utterances and faults of a corpus while it is read; `corpus` raises all faults at once.

    A corpus is untrusted input: names of files, speakers and attacks must have no control characters, all files must
    be below the root, also through links, and a fault is one line of printable text.
    """

    def __init__(self, name: str, root: Path, *, cache: Path | None = None, follow_links: bool = False) -> None:
        """Start an empty listing.

        Args:
            name: of the corpus.
            root: its folder.
            cache: the cache folder, in which what was found out about files is kept; ``None`` keeps nothing.
            follow_links: files may be outside the root, behind symbolic links.
        """
        self.name = name
        self.root = root
        self.cache = cache
        self.follow_links = follow_links
        self._real_root = root.resolve()
        self.faults: list[str] = []
        self._splits: dict[str, list[tuple[Utterance, str]]] = {split: [] for split in SPLITS}
        self._seen: dict[str, str] = {}
        self._unusable_folders: set[Path] = set()

    def fault(self, path: Path, fault: str, line: int | None = None) -> None:
        """Add a fault of a file or folder, or of a line of it."""
        self.faults.append(f"{self._location(path, line)}: {printable(fault)}")

    def check_folder(self, folder: Path) -> bool:
        """Whether a folder can be read. If not, that is one fault, and its files are no further faults."""
        if not folder.is_dir():
            fault = "no such folder"
        elif not self.contains(folder):
            fault = OUTSIDE
        elif not os.access(folder, os.R_OK | os.X_OK):
            fault = "permission denied"
        else:
            return True
        self.fault(folder, fault)
        self._unusable_folders.add(folder)
        return False

    def contains(self, path: Path) -> bool:
        """Whether a file or folder is below the root after resolving links, or links may lead anywhere."""
        if self.follow_links:
            return True
        try:
            return path.resolve().is_relative_to(self._real_root)
        except (OSError, RuntimeError):  # a cycle of links
            return False

    def read_text(self, path: Path) -> str | None:
        """Content of a text file of the corpus; ``None`` after a fault."""
        try:
            if not self.contains(path):
                self.fault(path, OUTSIDE)
            elif not path.exists():
                self.fault(path, "no such protocol")
            elif not path.is_file():
                self.fault(path, "not a file")
            else:
                return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.fault(path, f"not a readable text file ({error})")
        return None

    def add(self, split: str, utterance: Utterance, source: Path, line: int | None = None) -> None:
        """Add an utterance to a split, with its source: a line of a protocol, or the audio file itself."""
        location = self._location(source, line)
        faults = _text_faults(utterance)
        if utterance.name in self._seen:
            faults.append(f"duplicate utterance {utterance.name}, first in {self._seen[utterance.name]}")
        if faults:
            self.faults += [f"{location}: {printable(fault)}" for fault in faults]
            return
        self._seen[utterance.name] = location
        self._splits[split].append((utterance, location))

    def corpus(
        self,
        *,
        required: Sequence[str] = SPLITS,
        asv_scores: Mapping[str, Path] | None = None,
        note: str = "",
        skip_bad_files: bool = False,
        progress: Progress = silent,
    ) -> Corpus:
        """Check the header of every audio file and the classes of every split, and build the corpus.

        Args:
            required: splits that must have both classes; the others may also be empty.
            asv_scores: see `Corpus`.
            note: see `Corpus`.
            skip_bad_files: leave out utterances whose file is missing, unreadable or empty, up to 1 % of all. No other
                fault is ever ignored.
            progress: called with the number of checked files.

        Raises:
            CorpusError: all faults.
        """
        bad = self._check_files(progress)
        total = len(self._seen)
        skip = skip_bad_files and len(bad) <= MAX_SKIPPED * total
        splits = {
            split: tuple(one for one, _ in self._splits[split] if not (skip and one.name in bad)) for split in SPLITS
        }
        faults = [*self.faults, *_class_faults(splits, required)]
        summary = f"corpus {self.name} in {printable(self.root)} cannot be used"
        if not skip:
            faults += bad.values()
            if bad and skip_bad_files:
                share = f"{len(bad)} of {total} utterances ({len(bad) / total:.1%})"
                summary += f": {share} have bad files, at most {MAX_SKIPPED:.0%} may be skipped"
            elif bad and len(bad) == len(faults) and len(bad) <= MAX_SKIPPED * total:
                summary += " (skip_bad_files would leave these utterances out)"
        if faults:
            raise CorpusError(summary, faults)
        return Corpus(self.name, self.root, splits, tuple(bad.values()), dict(asv_scores or {}), note)

    def _location(self, path: Path, line: int | None = None) -> str:
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) and path != self.root else path
        return printable(shown if line is None else f"{shown}:{line}")

    def _check_files(self, progress: Progress) -> dict[str, str]:
        entries = [
            (one, location)
            for split in SPLITS
            for one, location in self._splits[split]
            if one.path.parent not in self._unusable_folders
        ]
        tasks = [entries[start : start + _FILES_PER_TASK] for start in range(0, len(entries), _FILES_PER_TASK)]
        bad: dict[str, str] = {}
        done = 0
        with ThreadPoolExecutor(_THREADS) as pool:
            for task, faults in zip(tasks, pool.map(self._file_faults, tasks), strict=True):
                for (one, location), fault in zip(task, faults, strict=True):
                    if fault is not None:
                        file = self._location(one.path)
                        bad[one.name] = f"{file}: {fault}" if file == location else f"{location}: {file} {fault}"
                done += len(task)
                progress("checking audio files", done, len(entries))
        return bad

    def _file_faults(self, entries: Sequence[tuple[Utterance, str]]) -> list[str | None]:
        return [self._file_fault(one.path) for one, _ in entries]

    def _file_fault(self, path: Path) -> str | None:
        """The fault of an audio file's path or header, or ``None``; its folder has been checked."""
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                if not self.contains(path):
                    return OUTSIDE
                mode = path.stat().st_mode
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        # A pipe would never end, and neither would a device.
        fault = header_fault(path) if stat.S_ISREG(mode) else "is not a file"
        return None if fault is None else printable(fault)


def _text_faults(utterance: Utterance) -> list[str]:
    """Faults of the names of an utterance's file, speaker and attack."""
    texts = {"file": utterance.path.name, "speaker": utterance.speaker, "attack": utterance.attack}
    faults = [
        f"{kind} must be text without control characters; got {text!r}"
        for kind, text in texts.items()
        if not text.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
    ]
    length = len(utterance.path.name.encode("utf-8", "surrogateescape"))
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
