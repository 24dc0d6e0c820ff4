"""The stages of a run, one function each: what is heard, what trials start from, the trials, and what came of them."""

from __future__ import annotations

import logging
import shutil
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout
from ray import tune

import spaces
from search import cluster, run_folder
from search.cluster import Cluster
from search.progress import Display, clock_text
from search.sampler import PlanSearch
from search.settings import SETTINGS_FILE, Settings
from search.trial_log import TrialLog
from search.watch import Limits, Watcher
from spaces import recipes, shared
from trainables import corpora, models, pretraining
from trainables.checkpoint import load_detector
from trainables.features import store
from trainables.models.architecture import Architecture
from trainables.plan import Plan

logger = logging.getLogger(__name__)
SECONDS = 4.0
"""Of every utterance, how much is heard."""
TUNE_FOLDER = "tune"
"""Tune's own files in the run's folder: checkpoints of trials under way. Gone when the run is over."""
NO_LIMIT = 1_000_000
"""Trials of a run that only time limits; Tune wants a number."""


@contextmanager
def run_log(settings: Settings) -> Iterator[None]:
    """Make the run's folder, write what the run is, and within the context keep the run's log."""
    folder = settings.run_folder
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.write_text(folder / SETTINGS_FILE, settings.to_json())
    run_folder.write_versions(folder)
    handler = logging.FileHandler(folder / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    rooms = [logging.getLogger(name) for name in cluster.PACKAGES]
    for room in rooms:
        room.setLevel(logging.INFO)
        room.addHandler(handler)
    logger.info("run %s %s", folder, "goes on" if settings.resume else "begins")
    try:
        yield
    finally:
        for room in rooms:
            room.removeHandler(handler)
        handler.close()


def hear(settings: Settings, display: Display) -> tuple[Path, dict[str, Any]]:
    """The corpus made ready, where the cache has it not.

    Returns:
        The folder of its features for the model's front end, and what the card of every detector says about it.

    Raises:
        CorpusError: everything wrong with the corpus.
        ValueError: a resumed run finds another corpus than it began with.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        corpus = corpora.read(
            settings.corpus,
            settings.corpus_root,
            cache=settings.cache,
            skip_bad_files=settings.skip_bad_files,
            progress=display.work,
        )
    for warning in caught:
        display.note(str(warning.message))
    display.fact("corpus", f"{corpus.name}{f', {corpus.note}' if corpus.note else ''}")
    if corpus.skipped:
        display.note(f"{len(corpus.skipped)} bad files are left out; corpus.json lists them")
    before = run_folder.corpus_digest(settings.run_folder)
    if before is not None and before != corpus.digest():
        raise ValueError(
            f"a resumed run needs the corpus it began with, digest {before[:16]}; {corpus.root} has "
            f"{corpus.digest()[:16]}: bring the files back or start a new run"
        )
    run_folder.write_corpus(settings.run_folder, corpus)
    front_end = models.load(settings.model).FRONT_END
    features = store.build(
        corpus,
        front_end,
        settings.cache,
        seconds=SECONDS,
        random_crop=settings.random_crop,
        skip_bad_files=settings.skip_bad_files,
        progress=display.work,
        splits=("train", "dev"),
    )
    about = {"name": corpus.name, "digest": corpus.digest(), "note": corpus.note}
    return features, {"front_end": front_end, "seconds": SECONDS, "features": features.name, "corpus": about}


def train_base(settings: Settings, features: Path, card: Mapping[str, Any], place: Cluster, display: Display) -> Path:
    """The base's folder in the run, trained on the cluster where the cache has none."""
    arch = Architecture.create(settings.model, settings.model_options)
    cached = pretraining.base_folder(
        arch,
        features=features,
        epochs=settings.base_epochs,
        seed=settings.seed,
        random_crop=settings.random_crop,
        cache=settings.cache,
    )
    cached.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{cached}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        display.note("another run is training this base; waiting for it")
        lock.acquire()
    with lock:
        came = "from the cache"
        if not _is_whole(cached):
            began = time.monotonic()
            _pretrain(arch, settings, features, card, cached, place, display)
            came = f"trained in {clock_text(time.monotonic() - began)}"
    base = settings.run_folder / "base"
    if not _is_whole(base):
        shutil.rmtree(base, ignore_errors=True)
        part = base.with_name("base.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(cached, part)
        part.replace(base)
    eer = load_detector(base).card["eer_dev"]
    display.fact("base", f"EER {100 * eer:.2f} % at {arch.size():,} parameters, {came}")
    return base


def _is_whole(folder: Path) -> bool:
    if not folder.exists():
        return False
    try:
        load_detector(folder)
    except ValueError as error:
        logger.warning("made anew: %s", error)
        return False
    return True


def _pretrain(
    arch: Architecture,
    settings: Settings,
    features: Path,
    card: Mapping[str, Any],
    folder: Path,
    place: Cluster,
    display: Display,
) -> None:
    # Nothing else runs yet: on one machine the base gets what all trials together will have.
    cpus = place.cpus * place.concurrent if settings.address is None else place.cpus
    rows = cluster.stream(
        pretraining.pretrain,
        arch,
        features=features,
        epochs=settings.base_epochs,
        seed=settings.seed,
        random_crop=settings.random_crop,
        folder=folder,
        card=dict(card),
        threads=cpus,
        gpu=place.gpus > 0,
        cpus=cpus,
        gpus=place.gpus,
    )
    display.work("base", 0, settings.base_epochs)
    for row in rows:
        logger.info("base: epoch %d of %d, loss %.4f, EER %.4f", row["epoch"], row["epochs"], row["loss"], row["eer"])
        display.work("base", row["epoch"], row["epochs"])


def make_searcher(settings: Settings, job: Mapping[str, Any], log: TrialLog) -> PlanSearch:
    """Who chooses plans: the space, its recipes and anchors, and what is refused."""
    arch = Architecture.create(settings.model, settings.model_options)
    sites = tuple(shared.SiteInfo(s.name, s.kind, s.width, s.depth, s.limit) for s in arch.sites().values())
    recipe = models.load(settings.model).RECIPE
    kept = {name: recipe[name] for name in ("lr", "batch_size", "optimizer", "weight_decay", "clip")}
    budget = shared.Budget(epochs=settings.epochs, **kept)
    anchors = recipes.anchors(settings.space, sites, budget)
    return PlanSearch(
        partial(spaces.load(settings.space).space, sites=sites, budget=budget),
        job=job,
        journal=settings.run_folder / "study.journal",
        ended=log.records,
        recipes=recipes.recipes(settings.space, settings.model, sites, budget),
        anchors={name: anchor.parameters for name, anchor in anchors.items()},
        refuse=partial(refusal, arch=arch, max_parameters=settings.max_parameters),
        sampler=settings.sampler,
        seed=settings.seed,
        startup=startup_trials(settings.trials),
    )


def make_job(settings: Settings, base: Path, features: Path, place: Cluster) -> dict[str, Any]:
    """What every trial of the run is given beside its plan."""
    return {
        "base": str(base),
        "features": str(features),
        "run_folder": str(settings.run_folder),
        "size_weight": settings.size_weight,
        "size_base": Architecture.create(settings.model, settings.model_options).size(),
        "seed": settings.seed,
        "random_crop": settings.random_crop,
        "threads": place.cpus,
        "gpu": place.gpus > 0,
    }


def refusal(plan: Mapping[str, Any], *, arch: Architecture, max_parameters: int | None) -> str | None:
    """Why a plan must not start on this base, or ``None``."""
    try:
        size = Plan.from_config(plan, arch).final.size()
    except ValueError as error:
        return str(error)
    if max_parameters is not None and size > max_parameters:
        return f"it ends with {size:,} parameters; --max-parameters allows {max_parameters:,}"
    return None


def startup_trials(trials: int | None) -> int:
    """How many trials the sampler draws at random before it learns: a quarter of them, between 2 and 10."""
    return 10 if trials is None else min(10, max(2, trials // 4))


def run_trials(
    trainable: type[tune.Trainable],
    searcher: PlanSearch,
    log: TrialLog,
    settings: Settings,
    place: Cluster,
    display: Display,
) -> None:
    """Run trials until there are enough, time is over, or a signal asks for the end.

    Every trial that ends is in `log`; trials that were stopped by the end are not, and a resumed run starts them again.
    """
    left = NO_LIMIT if settings.trials is None else settings.trials - len(log.records)
    if left <= 0:
        display.note(f"all {settings.trials} trials have ended; raise --trials for more")
        return
    # Checkpoints of trials that an earlier process left under way; they start again from the base.
    shutil.rmtree(settings.run_folder / TUNE_FOLDER, ignore_errors=True)
    limits = Limits(settings.minutes)
    tuner = tune.Tuner(
        with_resources(trainable, place),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=left,
            max_concurrent_trials=place.concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"trial-{trial.config['number']}",
            trial_dirname_creator=lambda trial: str(trial.config["number"]),
        ),
        run_config=tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=str(settings.run_folder),
            callbacks=[Watcher(log, display, limits)],
            stop=limits,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_frequency=1),
            # What fails on one machine fails there again; of a cluster's machines some go away.
            failure_config=tune.FailureConfig(max_failures=0 if settings.address is None else 2),
            verbose=0,
        ),
    )
    for name, reason in searcher.left_out.items():
        logger.warning("recipe %s is left out: %s", name, reason)
        display.note(f"recipe {name} is left out: {reason}")
    display.search(settings.trials, list(log.records.values()), limits.deadline)
    with ending_on_signal(limits):
        tuner.fit()
    if searcher.gave_up:
        display.note(searcher.gave_up)


def with_resources(trainable: type[tune.Trainable], place: Cluster) -> type[tune.Trainable]:
    """The trainable, asking for a trial's CPUs and GPUs. Ray's own function of this name would rename the actors."""

    def request(cls: type[tune.Trainable], config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([{"CPU": place.cpus, "GPU": place.gpus}])

    extra = {"default_resource_request": classmethod(request), "__module__": trainable.__module__}
    return type(trainable.__name__, (trainable,), extra)


@contextmanager
def ending_on_signal(limits: Limits) -> Iterator[None]:
    """Within it the first SIGINT or SIGTERM ends the search in good order, the second at once as KeyboardInterrupt."""

    def end(number: int, frame: FrameType | None) -> None:
        if limits.asked:
            raise KeyboardInterrupt
        limits.asked = True

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(settings: Settings, log: TrialLog, display: Display) -> bool:
    """Write the tables and say what was found; whether there is a front."""
    folder = settings.run_folder
    records = list(log.records.values())
    run_folder.write_tables(folder, records)
    shutil.rmtree(folder / TUNE_FOLDER, ignore_errors=True)
    front = run_folder.front_of(records)
    if front:
        display.table(front)
        display.note(f"front: {folder / 'front.parquet'}; all trials: {folder / 'results.parquet'}")
        display.note(f"next: python -m search.export {folder} --to front/")
        return True
    failures = [record.error for record in records if record.error]
    reason = f"the first failed with: {failures[0]}" if failures else "none ended"
    display.note(f"no trial gave a detector ({reason}); see {folder / 'run.log'}")
    return False
