"""Cache of features: computed once per corpus and settings, in a folder named by digest with one file per split."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trainables import features
from trainables.corpora.corpus import SPLITS, Corpus, CorpusError
from trainables.errors import DropinError, into_cache
from trainables.features.segment import samples_in
from trainables.features.split import Split, SplitWriter
from trainables.progress import Progress, silent

VERSION = 1
"""Part of the digest: raise it whenever the same settings and audio give other features or another file."""

REACH = 3
STEP = 0.25
STALE_SECONDS = 3600.0
PROGRESS_EVERY = 32


def build(
    corpus: Corpus,
    front_end: str,
    cache: Path,
    *,
    splits: Sequence[str] = ("train", "dev"),
    seconds: float = 4.0,
    random_crop: bool = False,
    workers: int | None = None,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Path:
    """Compute the features of splits that are not cached yet.

    A split is written atomically, so that an interrupted build can be continued, and concurrent builds of the same
    features do not interfere.

    Args:
        corpus: the corpus.
        front_end: a name of ``trainables.features.NAMES``.
        cache: the cache folder; the features are written to ``cache/features``.
        splits: which splits are needed.
        seconds: length of a segment; shorter utterances are repeated, longer ones truncated.
        random_crop: add further windows of long training utterances, from the time of their first 3 segments, one
            every quarter of a segment: `Split.batch` draws one of them when it is given a generator.
        workers: number of processes; by default one per CPU where that is faster, else only the calling one.
        skip_bad_files: leave out unusable files, up to 1 % of the corpus, including those left out when it was read.
        progress: called after every few files.

    Returns:
        The folder, for `open_split`. Beside the splits it has their ``settings.json``.

    Raises:
        DropinError: a bad argument, or a cache that is full or cannot be written.
        CorpusError: unusable files, with all their faults.
        RuntimeError: a process that computes features died.
    """
    if workers is not None and workers < 1:
        raise DropinError(f"workers must be at least 1; got {workers}")
    for split in splits:
        if not corpus.splits.get(split):
            has = ", ".join(name for name in SPLITS if corpus.splits.get(name))
            raise DropinError(f"splits must be ones that corpus {corpus.name} has ({has}); got {split!r}")
    settings = _settings(corpus, front_end, seconds, random_crop)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    parent = cache / "features"
    folder = parent / f"{front_end}-{digest[:20]}"
    cached = {split: _open_cached(folder, split, settings) for split in splits}
    missing = [split for split, opened in cached.items() if opened is None]
    faults = [fault for opened in cached.values() if opened is not None for fault in opened.skipped]
    if missing:
        # Closed even if interrupted, which ends the generator's processes.
        rows = closing(_extract(corpus, missing, settings, workers))
        with into_cache(parent), _building(parent) as temporary, rows as extracted:
            for split in missing:
                path = temporary / f"{split}.arrow"
                with into_cache(path):
                    new_faults = _write_split(path, corpus, split, settings, extracted, progress)
                faults += new_faults
                if skip_bad_files and new_faults:
                    _check_skipped(corpus, path, faults)
                # After a first fault the remaining files are still read, to report all faults at once.
                if skip_bad_files or not faults:
                    _move(path, folder, settings)
    if faults and not skip_bad_files:
        raise CorpusError(_summary(corpus, "cannot be used"), faults)
    return folder


@contextmanager
def _building(parent: Path) -> Iterator[Path]:
    """A temporary folder in the folder of all features, which is made if there is none."""
    parent.mkdir(parents=True, exist_ok=True)
    _delete_stale(parent)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=parent) as temporary:
        yield Path(temporary)


def open_split(folder: Path, split: str) -> Split:
    """Open a split that `build` wrote.

    Raises:
        DropinError: it does not exist, or its file is damaged.
    """
    path = folder / f"{split}.arrow"
    if not path.is_file():
        raise DropinError(f"features of {split} must be built before they are opened; there is no {path}")
    return Split(path)


def _settings(corpus: Corpus, front_end: str, seconds: float, random_crop: bool) -> dict[str, Any]:
    from trainables.audio.reading import SAMPLE_RATE  # imports torchaudio, which is not needed to open a split

    module = features.load(front_end)
    samples = samples_in(seconds, SAMPLE_RATE)
    return {
        "version": VERSION,
        "corpus": corpus.digest(),
        "front_end": front_end,
        "front_end_settings": module.SETTINGS,
        "sample_rate": SAMPLE_RATE,
        "samples": samples,
        "random_crop": random_crop,
        "shape": list(module.shape(samples)),
        "dtype": module.DTYPE.name,
    }


def _extract(
    corpus: Corpus, splits: Sequence[str], settings: dict[str, Any], workers: int | None
) -> Generator[np.ndarray | str, None, None]:
    """Features or faults of the utterances of these splits, split by split."""
    from trainables.features.extraction import extract  # imports torchaudio as well
    from trainables.features.windows import Extraction

    samples = settings["samples"]
    reach = dict.fromkeys(splits, samples)
    if settings["random_crop"] and "train" in splits:
        reach["train"] = samples * REACH
    jobs = [(utterance.path, reach[split]) for split in splits for utterance in corpus.splits[split]]
    return extract(jobs, Extraction(settings["front_end"], samples, round(samples * STEP)), workers)


def _write_split(
    path: Path,
    corpus: Corpus,
    split: str,
    settings: dict[str, Any],
    extracted: Iterator[np.ndarray | str],
    progress: Progress,
) -> list[str]:
    """Write a split's file.

    Returns:
        The faults of the utterances that were left out.
    """
    utterances = corpus.splits[split]
    task = f"{settings['front_end']} features of {split}"
    faults: list[str] = []
    progress(task, 0, len(utterances))
    with SplitWriter(path, settings) as writer:
        for done, utterance in enumerate(utterances, 1):
            windows = next(extracted)
            if isinstance(windows, str):
                faults.append(windows)
            else:
                writer.add(utterance, windows)
            if done % PROGRESS_EVERY == 0 or done == len(utterances):
                progress(task, done, len(utterances))
        writer.finish(faults)
    return faults


def _open_cached(folder: Path, split: str, settings: dict[str, Any]) -> Split | None:
    """The cached split, or ``None`` if it is missing, damaged or has other settings."""
    try:
        cached = open_split(folder, split)
    except ValueError:
        return None
    return cached if cached.settings == settings else None


def _move(path: Path, folder: Path, settings: dict[str, Any]) -> None:
    """Move a complete split into its folder, with the settings."""
    folder.mkdir(exist_ok=True)
    settings_file = path.with_name("settings.json")
    settings_file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    os.replace(settings_file, folder / settings_file.name)
    os.replace(path, folder / path.name)


def _delete_stale(parent: Path) -> None:
    """Delete temporary folders of killed builds, which are those without a recent modification."""
    for folder in parent.glob(".building-*"):
        try:
            latest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:
            continue  # another build ended and deleted it
        if time.time() - latest > STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _check_skipped(corpus: Corpus, path: Path, faults: Sequence[str]) -> None:
    from trainables.corpora.reading.listing import MAX_SKIPPED  # imports soundfile

    files = sum(len(utterances) for utterances in corpus.splits.values()) + len(corpus.skipped)
    if len(faults) + len(corpus.skipped) > MAX_SKIPPED * files:
        raise CorpusError(_summary(corpus, f"cannot be used, more than {MAX_SKIPPED:.0%} of {files}"), faults)
    if len(set(Split(path).labels.tolist())) < 2:
        raise CorpusError(_summary(corpus, f"cannot be used, and {path.stem} has one class without them"), faults)


def _summary(corpus: Corpus, problem: str) -> str:
    return f"audio files of corpus {corpus.name} {problem}; repair them, or leave up to 1 % out by --skip-bad-files"
