"""Scoring of a run's detectors on its corpus: calibration, errors on dev and eval, size and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from search.display.progress import Display
from search.reporting.dev_calibration import calibrate
from search.reporting.evaluation import Evaluation
from search.reporting.tables import DetectorResult
from search.runs.members import Member, StoredRun
from trainables.corpora.corpus import Corpus
from trainables.errors import DropinError
from trainables.features import store
from trainables.features.split import Split
from trainables.metrics.asv_scores import AsvScores
from trainables.metrics.size import macs
from trainables.metrics.tdcf import read_usable_asv_scores
from trainables.storage.checkpoint import Detector, load_detector
from trainables.trial.training import scores, select_device


@dataclass(frozen=True)
class ScoringData:
    """The data that detectors are scored on.

    Attributes:
        splits: features of dev, and of eval if the corpus has it.
        asv: ASV scores by split, if the corpus has any.
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
) -> ScoringData:
    """Load the features of dev and eval; those that are not in the cache are computed.

    Args:
        run: the run, for its corpus and settings.
        card: of any detector of the run, for front end and seconds.
        root: folder of the corpus.
        cache: the cache folder.
        skip_bad_files: leave out up to 1 % of unreadable files, even if the run did not.
        display: shows the progress.

    Raises:
        DropinError: another corpus than the run's, or one that cannot be read.
    """
    settings = run.settings
    skip = settings.skip_bad_files or skip_bad_files
    corpus = _read_corpus(run, root, cache, skip, display)
    names = ("dev", "eval") if corpus.splits["eval"] else ("dev",)
    if "eval" not in names:
        display.message(f"corpus {corpus.name} has no eval split: results on eval stay empty")
    asv = {split: read_usable_asv_scores(path) for split, path in corpus.asv_scores.items() if split in names}
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
    return ScoringData({name: store.open_split(features, name) for name in names}, asv)


def _read_corpus(run: StoredRun, root: Path | None, cache: Path, skip_bad_files: bool, display: Display) -> Corpus:
    corpus = replace(run.settings, corpus_root=root, skip_bad_files=skip_bad_files).read_corpus(
        cache, progress=display.progress
    )
    for note in corpus.notes:
        display.message(note)
    display.status("corpus", f"{corpus.name}{f', {corpus.note}' if corpus.note else ''}")
    if corpus.digest() != run.corpus["digest"]:
        raise DropinError(
            f"a front must be scored on the corpus of its run; {corpus.name} at {corpus.root} has another digest than "
            "the run's corpus.json: restore it, or give its folder by --corpus-root"
        )
    return corpus


def score_detector(
    member: Member, data: ScoringData, display: Display, *, calibration_prior: float = 0.5
) -> tuple[DetectorResult, Detector | None] | None:
    """Calibrate a detector on dev and score it on dev and eval.

    Returns:
        The result and the detector. If the detector of a recipe or the base is missing, the result is that of the trial
        log without a detector, or ``None`` if the log has none.

    Raises:
        DropinError: a detector of the front is missing or damaged.
        Diverged: a score is not finite.
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
        return DetectorResult(member, None, record.size, record.eer), None
    device = select_device()
    module = detector.module.to(device)
    found = {
        name: scores(module, split, batch_size=module.scoring_batch, device=device)
        for name, split in data.splits.items()
    }
    labels = {name: split.labels for name, split in data.splits.items()}
    calibrated = calibrate(found, labels, prior=calibration_prior, threshold=float(detector.card["threshold"]))
    evaluations = {
        name: Evaluation.from_scores(
            calibrated.calibration.apply(found[name]),
            split.labels,
            split.attacks,
            calibrated.threshold,
            data.asv.get(name),
        )
        for name, split in data.splits.items()
    }
    dev = data.splits["dev"]
    recorded = float(detector.card["eer_dev"])
    _tell_another_eer(member, recorded, evaluations["dev"].eer, dev, display)
    result = DetectorResult(
        member,
        None if member.number is None else f"detectors/{member.number}",
        detector.arch.size(),
        recorded,
        macs(module, torch.from_numpy(dev.batch([0]))),
        evaluations["dev"],
        evaluations.get("eval"),
        calibrated,
    )
    return result, detector


def _tell_another_eer(member: Member, recorded: float, found: float, dev: Split, display: Display) -> None:
    """Say so where the EER on dev differs from that of the run by more than an utterance of the smaller class."""
    if abs(found - recorded) > 1 / min((dev.labels == 1).sum(), (dev.labels == 0).sum()):
        display.message(
            f"{member.name}: the dev EER was {100 * recorded:.2f} % in the run and is {100 * found:.2f} % here; "
            "scores differ between devices"
        )
