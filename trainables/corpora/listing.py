"""The utterances a reader has found so far and everything wrong with them, judged as a whole at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainables.corpora.audio import header_fault
from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, CorpusError, Utterance
from trainables.progress import Progress, silent

MAX_SKIPPED = 0.01
"""Largest share of the utterances that may be left out because their files are bad."""
# Headers are small reads: threads hide the latency of network disks, more of them only wait for each other.
_THREADS = 8
_FILES_A_TASK = 64


class Listing:
    """Collects a corpus while it is read. Faults are noted, not raised: `corpus` raises them all at once."""

    def __init__(self, name: str, root: Path) -> None:
        """Start with no utterances and no faults for the corpus `name` under the folder `root`."""
        self.name = name
        self.root = root
        self.faults: list[str] = []
        self._splits: dict[str, list[tuple[Utterance, str]]] = {split: [] for split in SPLITS}
        self._seen: dict[str, str] = {}
        self._lost_folders: set[Path] = set()

    def fault(self, where: Path, what: str, line: int | None = None) -> None:
        """Note that something is wrong with a file or folder, at a line of it where one is given."""
        self.faults.append(f"{self._place(where, line)}: {what}")

    def need_folder(self, folder: Path) -> bool:
        """Whether a folder is there. If not, that is one fault, and the files it should hold are none of their own."""
        if folder.is_dir():
            return True
        self.fault(folder, "no such folder")
        self._lost_folders.add(folder)
        return False

    def add(self, split: str, utterance: Utterance, listed: Path, line: int | None = None) -> None:
        """Take an utterance that `listed` (a protocol and a line of it, or the file itself) puts into the split."""
        place = self._place(listed, line)
        if utterance.name in self._seen:
            self.faults.append(
                f"{place}: utterance {utterance.name} is there already, see {self._seen[utterance.name]}"
            )
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
        summary = f"corpus {self.name} in {self.root} cannot be used"
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
        return str(shown) if line is None else f"{shown}:{line}"

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
            for task, faults in zip(tasks, pool.map(_header_faults, tasks), strict=True):
                for (one, listed), fault in zip(task, faults, strict=True):
                    if fault is not None:
                        file = self._place(one.path)
                        bad[one.name] = f"{file}: {fault}" if file == listed else f"{listed}: {file} {fault}"
                done += len(task)
                progress("checking audio files", done, len(entries))
        return bad


def _class_faults(splits: Mapping[str, Sequence[Utterance]], required: Sequence[str]) -> list[str]:
    faults = []
    for split in SPLITS:
        labels = {one.label for one in splits[split]}
        lacking = [word for label, word in ((BONA_FIDE, "bona fide"), (SPOOF, "spoof")) if label not in labels]
        if lacking and (labels or split in required):
            faults.append(f"{split}: a split needs both classes; no {' and no '.join(lacking)} utterance in it")
    return faults


def _header_faults(entries: Sequence[tuple[Utterance, str]]) -> list[str | None]:
    return [header_fault(utterance.path) for utterance, _ in entries]
