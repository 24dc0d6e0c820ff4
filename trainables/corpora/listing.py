"""The utterances a reader has found so far and everything wrong with them, judged as a whole at the end."""

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
# Headers are small reads: threads hide the latency of network disks, more of them only wait for each other.
_THREADS = 8
_FILES_A_TASK = 64
LONGEST_NAME = 255
"""Bytes of a file's name, as file systems have it."""
LEAVES = "is a link that leaves the corpus' folder; put what it points to in its place"


class Listing:
    """Collects a corpus while it is read. Faults are noted, not raised: `corpus` raises them all at once.

    Corpora come from others. So names of files, speakers and attacks are texts without control characters, whatever is
    read lies under the root even where links are followed, and a fault is one line that a terminal can show.
    """

    def __init__(self, name: str, root: Path) -> None:
        """Start with no utterances and no faults for the corpus `name` under the folder `root`."""
        self.name = name
        self.root = root
        self._real_root = root.resolve()
        self.faults: list[str] = []
        self._splits: dict[str, list[tuple[Utterance, str]]] = {split: [] for split in SPLITS}
        self._seen: dict[str, str] = {}
        self._lost_folders: set[Path] = set()

    def fault(self, where: Path, what: str, line: int | None = None) -> None:
        """Note that something is wrong with a file or folder, at a line of it where one is given."""
        self.faults.append(f"{self._place(where, line)}: {printable(what)}")

    def need_folder(self, folder: Path) -> bool:
        """Whether a folder is there. If not, that is one fault, and the files it should hold are none of their own."""
        if not folder.is_dir():
            fault = "no such folder"
        elif not self.holds(folder):
            fault = LEAVES
        elif not os.access(folder, os.R_OK | os.X_OK):
            fault = "a folder that may not be read"
        else:
            return True
        self.fault(folder, fault)
        self._lost_folders.add(folder)
        return False

    def holds(self, path: Path) -> bool:
        """Whether a file or folder lies under the root, links followed."""
        try:
            return path.resolve().is_relative_to(self._real_root)
        except (OSError, RuntimeError):  # links in a circle
            return False

    def text(self, path: Path) -> str | None:
        """What a text file of the corpus says; ``None`` after a fault."""
        try:
            if not self.holds(path):
                self.fault(path, LEAVES)
            elif not path.exists():
                self.fault(path, "no such protocol")
            elif not path.is_file():
                self.fault(path, "not a file")
            else:
                return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.fault(path, f"not a readable text file ({error})")
        return None

    def add(self, split: str, utterance: Utterance, listed: Path, line: int | None = None) -> None:
        """Take an utterance that `listed` (a protocol and a line of it, or the file itself) puts into the split."""
        place = self._place(listed, line)
        faults = _text_faults(utterance)
        if utterance.name in self._seen:
            faults.append(f"utterance {utterance.name} is there already, see {self._seen[utterance.name]}")
        if faults:
            self.faults += [f"{place}: {printable(fault)}" for fault in faults]
            return
        self._seen[utterance.name] = place
        self._splits[split].append((utterance, place))

    def corpus(
        self,
        *,
        required: Sequence[str] = SPLITS,
        asv_scores: Mapping[str, Path] | None = None,
        note: str = "",
        skip_bad_files: bool = False,
        progress: Progress = silent,
    ) -> Corpus:
        """Check every audio file's header and both classes of every split, and hand the corpus over.

        Args:
            required: splits that must hold both classes; the others may also be empty.
            asv_scores: see `Corpus`.
            note: see `Corpus`.
            skip_bad_files: leave out utterances whose file is missing, unreadable or empty, up to 1 % of all. No other
                fault is ever passed over.
            progress: told how many files are checked.

        Raises:
            CorpusError: any fault noted or found, all in one.
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

    def _place(self, path: Path, line: int | None = None) -> str:
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) and path != self.root else path
        return printable(shown if line is None else f"{shown}:{line}")

    def _check_files(self, progress: Progress) -> dict[str, str]:
        entries = [
            (one, place)
            for split in SPLITS
            for one, place in self._splits[split]
            if one.path.parent not in self._lost_folders
        ]
        tasks = [entries[start : start + _FILES_A_TASK] for start in range(0, len(entries), _FILES_A_TASK)]
        bad: dict[str, str] = {}
        done = 0
        with ThreadPoolExecutor(_THREADS) as pool:
            for task, faults in zip(tasks, pool.map(self._file_faults, tasks), strict=True):
                for (one, listed), fault in zip(task, faults, strict=True):
                    if fault is not None:
                        file = self._place(one.path)
                        bad[one.name] = f"{file}: {fault}" if file == listed else f"{listed}: {file} {fault}"
                done += len(task)
                progress("checking audio files", done, len(entries))
        return bad

    def _file_faults(self, entries: Sequence[tuple[Utterance, str]]) -> list[str | None]:
        return [self._file_fault(one.path) for one, _ in entries]

    def _file_fault(self, path: Path) -> str | None:
        """What is wrong with an audio file as far as its place and its header tell; its folder is known to be good."""
        try:
            kind = path.lstat().st_mode
            if stat.S_ISLNK(kind):
                if not self.holds(path):
                    return LEAVES
                kind = path.stat().st_mode
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        # A pipe would never end, and neither would a device.
        fault = header_fault(path) if stat.S_ISREG(kind) else "is not a file"
        return None if fault is None else printable(fault)


def _text_faults(utterance: Utterance) -> list[str]:
    """What is wrong with what an utterance says about itself."""
    said = {"file": utterance.path.name, "speaker": utterance.speaker, "attack": utterance.attack}
    faults = [
        f"{what} must be text without control characters; got {text!r}"
        for what, text in said.items()
        if not text.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
    ]
    length = len(utterance.path.name.encode("utf-8", "surrogateescape"))
    if length > LONGEST_NAME:
        faults.append(f"file must have a name of at most {LONGEST_NAME} bytes; got {length}")
    return faults


def _class_faults(splits: Mapping[str, Sequence[Utterance]], required: Sequence[str]) -> list[str]:
    faults = []
    for split in SPLITS:
        labels = {one.label for one in splits[split]}
        lacking = [word for label, word in ((BONA_FIDE, "bona fide"), (SPOOF, "spoof")) if label not in labels]
        if lacking and (labels or split in required):
            faults.append(f"{split}: a split needs both classes; no {' and no '.join(lacking)} utterance in it")
    return faults
