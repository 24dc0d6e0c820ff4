"""Features computed once per corpus and settings: a folder addressed by digest, a file a split, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from trainables import features
from trainables.corpora.corpus import SPLITS, Corpus, CorpusError
from trainables.errors import DropinError
from trainables.features.segment import samples_in
from trainables.features.split import Split, SplitWriter
from trainables.progress import Progress, silent

VERSION = 1
"""Part of the address: to be raised whenever the same settings and audio give other features or another file."""

REACH = 3
STEP = 0.25
STALE_SECONDS = 3600.0
TOLD_EVERY = 32


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
    """Compute what is not there yet.

    Splits that are there and intact are left as they are. A split appears whole or not at all, so that an interrupted
    build goes on where it stopped, and builds of the same features at the same time do not harm each other.

    Args:
        corpus: what to read.
        front_end: a name of ``trainables.features.NAMES``.
        cache: folder of caches; the features go to ``cache/features``.
        splits: which splits are needed.
        seconds: length of a segment; shorter utterances are repeated, of longer ones the first segment is taken.
        random_crop: keep further windows of long training utterances, from their first 3 segments' time, one every
            quarter of a segment: `Split.batch` then draws one when it is given a generator.
        workers: processes; by default as many as CPUs where that is faster, else none.
        skip_bad_files: leave out files that cannot be used, up to 1 % of the corpus, what reading it left out included.
        progress: told after every few files.

    Returns:
        The folder, for `open_split`. Beside the splits it holds ``settings.json``, which says what they are.

    Raises:
        DropinError: a bad argument.
        CorpusError: files that cannot be used, all of them.
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
    place = cache / "features"
    folder = place / f"{front_end}-{digest[:20]}"
    there = {split: _intact(folder, split, settings) for split in splits}
    missing = [split for split, opened in there.items() if opened is None]
    faults = [fault for opened in there.values() if opened is not None for fault in opened.skipped]
    if missing:
        place.mkdir(parents=True, exist_ok=True)
        _remove_stale(place)
        # Closed here and now, also when interrupted: processes may be at work behind it.
        rows = closing(_extract(corpus, missing, settings, workers))
        with tempfile.TemporaryDirectory(prefix=".building-", dir=place) as temporary, rows as extracted:
            for split in missing:
                path = Path(temporary, f"{split}.arrow")
                found = _write_split(path, corpus, split, settings, extracted, progress)
                faults += found
                if skip_bad_files and found:
                    _check_skipped(corpus, path, faults)
                # After a first fault the rest is still read, so that all are told at once.
                if skip_bad_files or not faults:
                    _keep(path, folder, settings)
    if faults and not skip_bad_files:
        raise CorpusError(_summary(corpus, "cannot be used"), faults)
    return folder


def open_split(folder: Path, split: str) -> Split:
    """Map a split that `build` wrote.

    Raises:
        DropinError: it is not there, or its file is damaged.
    """
    path = folder / f"{split}.arrow"
    if not path.is_file():
        raise DropinError(f"features of {split} must be built before they are opened; there is no {path}")
    return Split(path)


def _settings(corpus: Corpus, front_end: str, seconds: float, random_crop: bool) -> dict[str, Any]:
    from trainables.corpora.audio import SAMPLE_RATE  # brings torchaudio, which opening a split does not need

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
    """Features, or faults, of the utterances of these splits, one split after the other."""
    from trainables.features.extraction import extract  # likewise
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
    """Write a split's file; returns what is wrong with utterances that are not in it."""
    utterances = corpus.splits[split]
    what = f"{settings['front_end']} features of {split}"
    faults: list[str] = []
    progress(what, 0, len(utterances))
    with SplitWriter(path, settings) as writer:
        for done, utterance in enumerate(utterances, 1):
            windows = next(extracted)
            if isinstance(windows, str):
                faults.append(windows)
            else:
                writer.add(utterance, windows)
            if done % TOLD_EVERY == 0 or done == len(utterances):
                progress(what, done, len(utterances))
        writer.finish(faults)
    return faults


def _intact(folder: Path, split: str, settings: dict[str, Any]) -> Split | None:
    try:
        there = open_split(folder, split)
    except ValueError:
        return None
    return there if there.settings == settings else None


def _keep(path: Path, folder: Path, settings: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    described = path.with_name("settings.json")
    described.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    os.replace(described, folder / described.name)
    os.replace(path, folder / path.name)


def _remove_stale(place: Path) -> None:
    """Remove what killed builds left: a build that lives writes its file all the time."""
    for folder in place.glob(".building-*"):
        try:
            latest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:
            continue  # another build ended and removed it
        if time.time() - latest > STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _check_skipped(corpus: Corpus, path: Path, faults: Sequence[str]) -> None:
    from trainables.corpora.listing import MAX_SKIPPED  # likewise

    files = sum(len(utterances) for utterances in corpus.splits.values()) + len(corpus.skipped)
    if len(faults) + len(corpus.skipped) > MAX_SKIPPED * files:
        raise CorpusError(_summary(corpus, f"cannot be used, more than {MAX_SKIPPED:.0%} of {files}"), faults)
    if len(set(Split(path).labels.tolist())) < 2:
        raise CorpusError(_summary(corpus, f"cannot be used, and {path.stem} without them lacks a class"), faults)


def _summary(corpus: Corpus, complaint: str) -> str:
    return f"audio files of corpus {corpus.name} {complaint}; mend them, or leave up to 1 % out with --skip-bad-files"
