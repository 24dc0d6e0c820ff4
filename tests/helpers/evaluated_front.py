"""An exported front and its evaluations, from scores that its members really give; quicker than the commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.reporting.evaluation import Evaluation
from search.reporting.evaluations import FILE, CorpusEvaluation, EvaluatedCorpus, EvaluatedDetector, Measures
from search.reporting.export_folder import MARKER
from search.reporting.tables import DetectorResult, write_tables
from search.runs.members import StoredRun, members
from trainables import corpora
from trainables.corpora.corpus import BONA_FIDE, SPOOF
from trainables.features import store
from trainables.metrics.eer import eer_of
from trainables.metrics.interval import eer_interval
from trainables.storage.checkpoint import load_detector, weights_digest
from trainables.trial.training import scores


def export(run: Path, folder: Path) -> Path:
    """Write what a report reads of an export: tables, the marker, and the detectors; returns `folder`, which is new.

    Without multiply-accumulates, cards and the picture.
    """
    stored = StoredRun.open(run)
    corpus = corpora.read(stored.settings.corpus, stored.settings.corpus_root, cache=stored.settings.cache)
    cache = store.build(corpus, "log_mel", stored.settings.cache, splits=("dev", "eval"))
    entries = []
    for member in members(stored):
        detector = load_detector(member.folder)
        found = {}
        for split in ("dev", "eval"):
            data = store.open_split(cache, split)
            scored = np.asarray(scores(detector.module, data), dtype=np.float64)
            found[split] = Evaluation.from_scores(scored, data.labels, data.attacks, float(detector.card["threshold"]))
        place = f"detectors/{member.number}" if member.role == "front" else None
        if place is not None:
            shutil.copytree(member.folder, folder / place)
        eer = float(detector.card["eer_dev"])
        entries.append(DetectorResult(member, place, detector.arch.size(), eer, dev=found["dev"], eval=found["eval"]))
    write_tables(folder, entries)
    about = {"run": stored.settings.name, "trials": len(stored.records), "corpus": stored.corpus["digest"]}
    (folder / MARKER).write_text(json.dumps({**about, "files": []}))
    return folder


def evaluate(
    detectors: Sequence[Path], root: Path, cache: Path, folder: Path, *, name: str = "elsewhere", split: str = "eval"
) -> CorpusEvaluation:
    """Score detectors on a split of a corpus in the LA tree, and write the folder of the evaluation.

    Args:
        detectors: folders.
        root: of the corpus.
        cache: folder of caches.
        folder: of the evaluation, which must not exist.
        name: of the corpus in the evaluation.
        split: which is scored.
    """
    corpus = corpora.read("asvspoof2019-la", root, cache=cache, splits=(split,))
    data = store.open_split(store.build(corpus, "log_mel", cache, splits=(split,)), split)
    found = []
    for place in detectors:
        detector = load_detector(place)
        scored = np.asarray(scores(detector.module, data), dtype=np.float64)
        threshold = float(detector.card["threshold"])
        names = sorted({*data.attacks[data.labels == SPOOF]})
        spoofs = {name: (data.labels == BONA_FIDE) | (data.attacks == name) for name in names}
        by = {attack: measures(scored[those], data.labels[those], threshold) for attack, those in spoofs.items()}
        one = EvaluatedDetector(
            str(place),
            weights_digest(place),
            detector.arch.size(),
            detector.card.get("run"),
            detector.card.get("number"),
            threshold,
            measures(scored, data.labels, threshold),
            {"attack": by},
        )
        found.append(one)
    evaluation = CorpusEvaluation(EvaluatedCorpus(name, corpus.digest(), "", split), "first", tuple(found))
    write(evaluation, folder)
    return evaluation


def write(evaluation: CorpusEvaluation, folder: Path) -> Path:
    """Write an evaluation's JSON into a new folder."""
    folder.mkdir(parents=True)
    (folder / FILE).write_text(evaluation.to_json(), encoding="utf-8")
    return folder


def measures(scored: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], threshold: float) -> Measures:
    """Errors of scores; without the costs, which the report only shows."""
    misses = float(np.mean(scored[labels == BONA_FIDE] < threshold))
    false_alarms = float(np.mean(scored[labels == SPOOF] >= threshold))
    return Measures(
        eer=eer_of(scored, labels)[0],
        interval=eer_interval(scored, labels),
        min_dcf=None,
        actual_dcf=None,
        cllr=None,
        min_cllr=None,
        min_tdcf=None,
        misses=misses,
        false_alarms=false_alarms,
        hter=(misses + false_alarms) / 2,
        bonafide=int(np.sum(labels == BONA_FIDE)),
        spoof=int(np.sum(labels == SPOOF)),
    )
