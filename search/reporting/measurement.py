"""Detectors of a run measured on its corpus: errors on dev and eval, size and cost."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from search.display.progress import Display
from search.reporting.evaluation import Evaluation
from search.reporting.tables import Entry
from search.runs.members import Member, StoredRun
from trainables import corpora
from trainables.corpora.corpus import Corpus
from trainables.errors import DropinError
from trainables.features import store
from trainables.features.split import Split
from trainables.metrics.size import macs
from trainables.metrics.tdcf import AsvScores, read_asv_scores
from trainables.storage.checkpoint import Detector, load_detector
from trainables.trial.training import scores, select_device


@dataclass(frozen=True)
class Data:
    """What detectors are scored on.

    Attributes:
        splits: features of dev, and of eval where the corpus has it.
        asv: scores of a speaker verification by split, where the corpus has any.
    """

    splits: Mapping[str, Split]
    asv: Mapping[str, AsvScores]


def load_scoring_data(
    run: StoredRun,
    card: Mapping[str, object],
    *,
    root: Path | None,
    cache: Path,
    skip_bad_files: bool,
    display: Display,
) -> Data:
    """Make ready what detectors are scored on; features that the cache has not are computed.

    Args:
        run: whose corpus and settings count.
        card: of any detector of the run: front end and seconds.
        root: where the corpus lies now.
        cache: folder of caches.
        skip_bad_files: leave out up to 1 % of unreadable files, also where the run itself did not.
        display: told how far it is.

    Raises:
        DropinError: another corpus than the run's, or one that cannot be used.
    """
    settings = run.settings
    skip = settings.skip_bad_files or skip_bad_files
    corpus = _corpus(run, root, cache, skip, display)
    names = ("dev", "eval") if corpus.splits["eval"] else ("dev",)
    if "eval" not in names:
        display.message(f"corpus {corpus.name} has no eval split: what is said about eval stays empty")
    asv = {split: read_asv_scores(path) for split, path in corpus.asv_scores.items() if split in names}
    features = store.build(
        corpus,
        str(card["front_end"]),
        cache,
        splits=names,
        seconds=float(str(card["seconds"])),
        random_crop=settings.random_crop,
        skip_bad_files=skip,
        progress=display.progress,
    )
    return Data({name: store.open_split(features, name) for name in names}, asv)


def _corpus(run: StoredRun, root: Path | None, cache: Path, skip_bad_files: bool, display: Display) -> Corpus:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        corpus = corpora.read(
            run.settings.corpus, root, cache=cache, skip_bad_files=skip_bad_files, progress=display.progress
        )
    for warning in caught:
        display.message(str(warning.message))
    display.status("corpus", f"{corpus.name}{f', {corpus.note}' if corpus.note else ''}")
    if corpus.digest() != run.corpus["digest"]:
        raise DropinError(
            f"a front is scored on the corpus that its run read; {corpus.name} at {corpus.root} is not what the run's "
            "corpus.json says: restore it, or say where it lies with --corpus-root"
        )
    return corpus


def measure(member: Member, data: Data, display: Display) -> tuple[Entry, Detector | None] | None:
    """Score a detector.

    Returns:
        The row of the tables, and the detector. One that is there for comparison only may be gone: then its row holds
        what the run's log says, if it says anything.

    Raises:
        DropinError: a detector of the front is missing or damaged.
        Diverged: it gives no finite scores.
    """
    record = member.record
    try:
        detector = load_detector(member.folder)
    except ValueError as error:
        if member.role == "front":
            raise
        display.message(f"{member.name} is not scored: {error}")
        if record is None or record.size is None or record.eer is None:
            return None
        return Entry(member, None, record.size, record.eer), None
    device = select_device()
    threshold = float(detector.card["threshold"])
    module = detector.module.to(device)
    found = {
        name: Evaluation.of(
            scores(module, split, batch_size=module.scoring_batch, device=device),
            split.labels,
            split.attacks,
            threshold,
            data.asv.get(name),
        )
        for name, split in data.splits.items()
    }
    dev = data.splits["dev"]
    recorded = float(detector.card["eer_dev"])
    if abs(found["dev"].eer - recorded) > 1 / min((dev.labels == 1).sum(), (dev.labels == 0).sum()):
        display.message(
            f"{member.name}: the run found a dev EER of {100 * recorded:.2f} %, here it is "
            f"{100 * found['dev'].eer:.2f} %; another device computes other scores"
        )
    entry = Entry(
        member,
        None if member.number is None else f"detectors/{member.number}",
        detector.arch.size(),
        recorded,
        threshold,
        macs(module, torch.from_numpy(dev.batch([0]))),
        found["dev"],
        found.get("eval"),
    )
    return entry, detector
