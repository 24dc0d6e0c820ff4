"""What comes before the trials: the run's folder and log, corpus and features, the base."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from search.cluster.origin import PACKAGES
from search.cluster.ray_cluster import Cluster
from search.display.progress import Display, clock_text
from search.display.terminal import LogFormatter
from search.running import remote_training
from search.runs import run_folder
from search.settings.options import Settings
from trainables import models
from trainables.errors import DropinError
from trainables.features import store
from trainables.jobs import pretraining
from trainables.models.architecture import Architecture
from trainables.storage.activations import ActivationCache
from trainables.storage.checkpoint import load_detector

logger = logging.getLogger(__name__)
SEGMENT_SECONDS = 4.0
"""Length of the segment of an utterance that a detector sees."""


class _LogFile(logging.FileHandler):
    """The run's log; what it cannot write, as on a full disk, is dropped.

    By itself `logging` prints such errors to stderr, which is this log while the display is drawn.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do nothing: `search.running.disk_space` says that there is no room."""


@contextmanager
def run_log(settings: Settings) -> Iterator[None]:
    """Make the run's folder, write settings and versions, and within the context write the run's log."""
    folder = settings.run_folder
    folder.mkdir(parents=True, exist_ok=True)
    resumed = settings.paths.versions.exists()
    run_folder.write_text(settings.paths.settings, settings.to_json())
    run_folder.write_versions(folder)
    handler = _LogFile(settings.paths.log, encoding="utf-8")
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    rooms = [logging.getLogger(name) for name in PACKAGES]
    for room in rooms:
        room.setLevel(logging.INFO)
        room.addHandler(handler)
    logger.info("run %s %s", folder, "resumes" if resumed else "starts")
    try:
        yield
    finally:
        for room in rooms:
            room.removeHandler(handler)
        handler.close()


def prepare_features(settings: Settings, display: Display) -> tuple[Path, dict[str, Any]]:
    """Prepare the corpus and its features; what the cache has is not computed again.

    Returns:
        The feature folder for the model's front end, and what the card of every detector says about them.

    Raises:
        CorpusError: every fault of the corpus.
        DropinError: a resumed run finds another corpus than it started with.
    """
    corpus = settings.read_corpus(settings.cache, progress=display.progress)
    for note in corpus.notes:
        display.message(note)
    display.status("corpus", f"{corpus.name}{f', {corpus.note}' if corpus.note else ''}")
    if corpus.skipped:
        display.message(f"{len(corpus.skipped)} bad files are left out; corpus.json lists them")
    before = run_folder.corpus_digest(settings.run_folder)
    if before is not None and before != corpus.digest():
        raise DropinError(
            f"a resumed run needs the corpus it began with, digest {before[:16]}; {corpus.root} has "
            f"{corpus.digest()[:16]}: bring the files back or start a new run"
        )
    run_folder.write_corpus(settings.run_folder, corpus)
    front_end = models.load(settings.model).FRONT_END
    features = store.build(
        corpus,
        front_end,
        settings.cache,
        seconds=SEGMENT_SECONDS,
        random_crop=settings.random_crop,
        skip_bad_files=settings.skip_bad_files,
        progress=display.progress,
        splits=("train", "dev"),
    )
    about = {"name": corpus.name, "digest": corpus.digest(), "note": corpus.note}
    return features, {"front_end": front_end, "seconds": SEGMENT_SECONDS, "features": features.name, "corpus": about}


def train_base(
    settings: Settings, features: Path, card: Mapping[str, Any], cluster: Callable[[], Cluster], display: Display
) -> Path:
    """Train the base on the cluster, unless run or cache have it; its folder in the run."""
    arch = Architecture.create(settings.model, settings.model_option)
    base = settings.paths.base
    source = (
        "from the run" if _is_complete(base) else _copy_base(base, arch, settings, features, card, cluster, display)
    )
    eer = load_detector(base).card["eer_dev"]
    display.status("base", f"EER {100 * eer:.2f} % at {arch.size():,} parameters, {source}")
    return base


def cached_base(settings: Settings, arch: Architecture, features: Path) -> Path:
    """The folder in the cache of a run's base, trained or not."""
    return pretraining.base_folder(
        arch,
        features=features,
        epochs=settings.base_epochs,
        seed=settings.seed,
        random_crop=settings.random_crop,
        precision=settings.precision,
        cache=settings.cache,
    )


def _copy_base(
    base: Path,
    arch: Architecture,
    settings: Settings,
    features: Path,
    card: Mapping[str, Any],
    cluster: Callable[[], Cluster],
    display: Display,
) -> str:
    """Copy the base from the cache into the run's folder, training it first where the cache has none; its source."""
    cached = cached_base(settings, arch, features)
    cached.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{cached}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        display.message("another run is training this base; waiting for it")
        lock.acquire()
    with lock:
        source = "from the cache"
        if not _is_complete(cached):
            began = time.monotonic()
            _pretrain(arch, settings, features, card, cached, cluster(), display)
            source = f"trained in {clock_text(time.monotonic() - began)}"
    shutil.rmtree(base, ignore_errors=True)
    part = base.with_name("base.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(cached, part)
    part.replace(base)
    return source


def _is_complete(folder: Path) -> bool:
    if not folder.exists():
        return False
    try:
        load_detector(folder)
    except ValueError as error:
        logger.warning("trained again: %s", error)
        return False
    return True


def _pretrain(
    arch: Architecture,
    settings: Settings,
    features: Path,
    card: Mapping[str, Any],
    folder: Path,
    cluster: Cluster,
    display: Display,
) -> None:
    # Nothing else runs yet: on one machine the base gets what all trials together will have, if that makes it faster.
    alone = settings.address is None and not getattr(models.load(settings.model), "SERIAL", False)
    cpus = cluster.cpus * cluster.concurrent if alone else cluster.cpus
    rows = remote_training.train_remotely(
        settings,
        cluster,
        pretraining.pretrain,
        arch,
        store=features,
        epochs=settings.base_epochs,
        seed=settings.seed,
        random_crop=settings.random_crop,
        precision=settings.precision,
        folder=folder,
        card=dict(card),
        activations=ActivationCache(settings.activations, features, settings.activations_limit),
        threads=cpus,
        gpu=cluster.gpus > 0,
        cpus=cpus,
    )
    display.progress("base", 0, settings.base_epochs)
    for row in rows:
        logger.info("base: epoch %d of %d, loss %.4f, EER %.4f", row["epoch"], row["epochs"], row["loss"], row["eer"])
        display.progress("base", row["epoch"], row["epochs"])
