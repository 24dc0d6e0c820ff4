"""What the user asked for: every command-line option, checked once, with all paths absolute."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.settings import command_line
from search.settings.typed_json import check_fields
from search.storage import bucket_pull
from trainables import corpora, models
from trainables.errors import DropinError
from trainables.storage import bucket_files

RESUMABLE = (
    *("trials", "minutes", "confirm", "controls", "corpus_root", "cache", "activations_gb", "growth_cache_gb"),
    *("address", "cpus_per_trial", "gpus_per_trial", "monitor"),
)
"""What may differ when a run is resumed: how long and where, never what."""
SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class Settings:
    """A checked set of options.

    Attributes:
        space: a name of ``spaces.names()``.
        model: a name of ``trainables.models.NAMES``.
        model_options: the model's complete configuration.
        corpus: a name of ``trainables.corpora.NAMES``.
        corpus_root: absolute folder of the corpus, ``None`` for those built by the project.
        trials: how many trials in all, recipes included; ``None`` for as many as fit into `minutes`.
        minutes: when to stop, counted from the first trial; ``None`` for no limit.
        epochs: epochs of every trial.
        base_epochs: epochs of the base.
        size_weight: exponent of the size in the weighted EER.
        max_parameters: largest final size of a trial, or ``None``.
        sampler: one of `options.SAMPLERS`.
        objective: one of `options.OBJECTIVES`.
        prunings_per_growth: how many final widths of a grown stage that leads to the front are tried.
        stopping: one of `options.STOPPING`.
        warm_start: absolute folders of runs to learn from, or their URIs, without credentials, as text.
        precision: of training steps, one of `options.PRECISIONS`.
        seed: seed of everything random.
        confirm: fresh seeds with which the front is trained anew in the end; 0 for none.
        controls: whether that is done with its controls, too.
        storage: absolute folder that holds runs.
        name: the run's folder in `storage`.
        resume: whether the run goes on from what its folder holds.
        address: an existing cluster's address, or ``None`` for this machine.
        cpus_per_trial: CPU cores a trial.
        gpus_per_trial: GPUs a trial, fractions allowed; ``None`` for 1 where there are GPUs and 0 elsewhere.
        skip_bad_files: go on without up to 1 % of unreadable audio files.
        random_crop: crop long utterances at random in training.
        cache: absolute folder of built corpora, features, bases and activations.
        growth_cache_gb: how much of the run's folder grown stages may fill, in 10^9 bytes; 0 keeps none.
        activations_gb: how much of it outputs of frozen layers may fill, in 10^9 bytes; 0 keeps none.
        monitor: run Prometheus and Grafana beside the search.
        remote: URI of the storage that holds copies of runs, without credentials, or ``None``; see
            `search.storage.bucket_sync`.
    """

    space: str
    model: str
    model_options: Mapping[str, Any]
    corpus: str
    corpus_root: Path | None
    trials: int | None
    minutes: float | None
    epochs: int
    base_epochs: int
    size_weight: float
    max_parameters: int | None
    sampler: str
    objective: str
    stopping: str
    prunings_per_growth: int
    warm_start: tuple[Path | str, ...]
    precision: str
    seed: int
    confirm: int
    controls: bool
    storage: Path
    name: str
    resume: bool
    address: str | None
    cpus_per_trial: int
    gpus_per_trial: float | None
    skip_bad_files: bool
    random_crop: bool
    cache: Path
    activations_gb: float
    growth_cache_gb: float
    monitor: bool = False
    remote: str | None = None

    @property
    def run_folder(self) -> Path:
        """Where everything about the run is."""
        return self.storage / self.name

    @property
    def run_uri(self) -> str | None:
        """URI of the copy of the run's folder, or ``None``."""
        return None if self.remote is None else bucket_files.join_uri(self.remote, self.name)

    @property
    def no_shared_filesystem(self) -> bool:
        """Whether workers may be on machines that share no folder with this one."""
        return self.remote is not None and self.address is not None

    @property
    def activations(self) -> Path:
        """Where outputs of frozen layers are kept."""
        return self.cache / "activations"

    @property
    def activations_limit(self) -> int:
        """How many bytes they may fill."""
        return int(self.activations_gb * 1e9)

    def to_json(self) -> str:
        """Readable JSON that `from_json` reads back to equal settings."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}
        plain["warm_start"] = [str(run) for run in self.warm_start]
        return json.dumps(plain, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The inverse of `to_json`.

        Raises:
            DropinError: not settings.
        """
        try:
            data = json.loads(text)
            for name in ("storage", "cache", "corpus_root"):
                data[name] = None if data[name] is None else Path(data[name])
            if not isinstance(data["warm_start"], list):
                raise DropinError(f"warm_start must be a list of folders and URIs; got {data['warm_start']!r}")
            data["warm_start"] = tuple(run if bucket_files.is_uri(run) else Path(run) for run in data["warm_start"])
            made = cls(**data)
            check_fields(made)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DropinError(f"not the settings of a run: {error}") from error
        return made


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from the command line.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Raises:
        SystemExit: with code 2 after one message that names the rule, the value and the next step; 0 after ``--help``.
    """
    return complete(read(arguments))


def read(arguments: Sequence[str] | None = None) -> Settings:
    """What `parse` gives, but for the model's options: those are as they were asked for.

    Without the model's file, which imports torch, this takes no time.

    Raises:
        SystemExit: see `parse`.
    """
    parser = command_line.parser()
    given = vars(parser.parse_args(arguments))
    try:
        return _resumed(given) if given.get("resume") else _fresh(given)
    except ValueError as error:
        parser.error(str(error))


def complete(settings: Settings) -> Settings:
    """Settings that were `read`, with the model's options checked and complete.

    Raises:
        SystemExit: see `parse`.
    """
    try:
        return replace(settings, model_options=models.load(settings.model).resolve(settings.model_options))
    except ValueError as error:
        command_line.parser().error(str(error))


def _fresh(given: Mapping[str, Any]) -> Settings:
    space, model = given.get("space", "plasticity"), given.get("model", "resnet18")
    corpus, root = given.get("corpus", "demo"), given.get("corpus_root")
    if corpus in corpora.BUILT and root is not None:
        raise DropinError(
            f"--corpus {corpus} is built by this project and has no root; got {root}: leave --corpus-root out"
        )
    if corpus not in corpora.BUILT and root is None:
        raise DropinError(f"--corpus {corpus} must be told where it lies: add --corpus-root DIR")
    if root is not None and not root.expanduser().is_dir():
        raise DropinError(f"--corpus-root must be a folder; got {root}: correct the path")
    name = given.get("name") or time.strftime(f"{space}-{model}-{corpus}-%Y%m%d-%H%M%S")
    cache = _absolute(given.get("cache", default_cache()))
    asked = given.get("storage", Path("runs"))
    remote = asked if isinstance(asked, str) else None
    folder = (
        _absolute(asked) / name
        if remote is None
        else bucket_pull.local_folder(bucket_files.join_uri(remote, name), cache)
    )
    storage = folder.parent
    if folder.exists():
        raise DropinError(f"--name must be new; {folder} exists: choose another, or go on with --resume {folder}")
    if remote is not None:
        bucket_pull.check_new(bucket_files.join_uri(remote, name))
    for option, place in (("--storage", storage), ("--cache", cache)):
        _check_writable(option, place)
    minutes = given.get("minutes")
    if given.get("controls") and not given.get("confirm"):
        raise DropinError("--controls are trained with the seeds of --confirm; it is not given: add --confirm 3")
    return Settings(
        space=space,
        model=model,
        model_options={**command_line.DEFAULT_OPTIONS.get(model, {}), **dict(given.get("model_option", ()))},
        corpus=corpus,
        corpus_root=None if root is None else _absolute(root),
        trials=given.get("trials", None if minutes else command_line.DEFAULT_TRIALS),
        minutes=minutes,
        epochs=given.get("epochs", command_line.DEFAULT_EPOCHS),
        base_epochs=given.get("base_epochs", command_line.DEFAULT_BASE_EPOCHS),
        size_weight=given.get("size_weight", 0.1),
        max_parameters=given.get("max_parameters"),
        sampler=given.get("sampler", "tpe"),
        objective=given.get("objective", "weighted"),
        prunings_per_growth=given.get("prunings_per_growth", command_line.DEFAULT_PRUNINGS_PER_GROWTH),
        stopping=given.get("stopping", "halving"),
        warm_start=tuple(_absolute(run) if isinstance(run, Path) else run for run in given.get("warm_start", ())),
        precision=given.get("precision", "auto"),
        seed=given.get("seed", 0),
        confirm=given.get("confirm", 0),
        controls=given.get("controls", False),
        storage=storage,
        name=name,
        resume=False,
        address=given.get("address"),
        cpus_per_trial=given.get("cpus_per_trial", 1),
        gpus_per_trial=given.get("gpus_per_trial"),
        skip_bad_files=given.get("skip_bad_files", False),
        random_crop=given.get("random_crop", False),
        cache=cache,
        activations_gb=given.get("activations_gb", command_line.DEFAULT_ACTIVATIONS_GB),
        growth_cache_gb=given.get("growth_cache_gb", command_line.DEFAULT_GROWTH_CACHE_GB),
        monitor=given.get("monitor", False),
        remote=remote,
    )


def _resumed(given: Mapping[str, Any]) -> Settings:
    extra = sorted(set(given) - {"resume", "storage", *RESUMABLE})
    if extra:
        listed = ", ".join("--" + name.replace("_", "-") for name in extra)
        raise DropinError(
            f"a resumed run keeps its settings; got {listed} with --resume: leave it out or start a new run"
        )
    where: dict[str, Any] = {}
    storage = given.get("storage", Path("runs"))
    if isinstance(storage, str) or bucket_files.is_uri(given["resume"]):
        uri = (
            given["resume"] if bucket_files.is_uri(given["resume"]) else bucket_files.join_uri(storage, given["resume"])
        )
        where = {"cache": _absolute(given.get("cache", default_cache())), "remote": bucket_files.split_uri(uri)[0]}
        folder = named = bucket_pull.pull_run(uri, where["cache"], SETTINGS_FILE)
    else:
        named = _absolute(Path(given["resume"]))
        stored = _absolute(storage) / given["resume"]
        folder = named if (named / SETTINGS_FILE).is_file() else stored
    if not (folder / SETTINGS_FILE).is_file():
        raise DropinError(
            f"--resume must name the folder of a run; there is no {SETTINGS_FILE} in {named}: correct the path"
        )
    settings = Settings.from_json((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    changed = {name: given[name] for name in RESUMABLE if name in given}
    changed.update({name: _absolute(changed[name]) for name in ("corpus_root", "cache") if name in changed})
    changed.update(where)
    # The folder may have been moved since; what it is called now counts.
    return replace(settings, **changed, storage=folder.parent, name=folder.name, resume=True)


def default_cache() -> Path:
    """``DROPIN_CACHE`` where it is set, else ``dropin`` in the user's cache folder."""
    if chosen := os.environ.get("DROPIN_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dropin"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dropin"


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


def _check_writable(option: str, place: Path) -> None:
    existing = next(p for p in (place, *place.parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise DropinError(f"{option} must be a folder that can be written; got {place}: choose another")
