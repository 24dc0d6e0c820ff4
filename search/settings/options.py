"""The options of a run, each declared once: name, default, help and check. The command line is made of these fields."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import spaces
from search.cluster import home
from search.settings import values
from search.settings.corpus_options import CORPUS, CorpusSettings
from search.settings.declaration import Option, check_values, declared, options_of
from search.settings.stored import read_fields, warn_once
from search.settings.together import MAX_SEED, check_confirmation, check_corpus, check_trainable
from search.settings.values import number, one_of, whole
from search.storage import bucket_pull
from trainables import models
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.run_paths import RunPaths

SAMPLERS = ("tpe", "nsga2", "gp", "random")
OBJECTIVES = ("weighted", "pareto")
STOPPING = ("halving", "none")
PRECISIONS = ("auto", "float32", "bfloat16")
DEFAULT_TRIALS = 24
WHAT, HOW, WHERE = "what to search", "how to search", "where"
GROUPS = (WHAT, CORPUS, HOW, WHERE)
"""Groups of options, as ``--help`` shows them."""


def default_cache() -> Path:
    """``DROPIN_CACHE`` where it is set, else ``dropin`` in the user's cache folder; see `search.cluster.home`."""
    return Path(os.environ.get("DROPIN_CACHE") or home.caches() / "dropin")


@dataclass(frozen=True)
class Settings(CorpusSettings):
    """The settings of a run; each has a default, and the name of its command-line option with underscores.

    Values are checked when settings are made, and paths become absolute. Nothing on disk is looked at before the run
    starts.

    >>> from search import Settings
    >>> settings = Settings(space="plasticity", corpus="demo", trials=8, model_option={"width": 8})
    >>> settings.epochs, settings.sampler
    (8, 'tpe')
    >>> Settings(trials=0)
    Traceback (most recent call last):
    ...
    trainables.errors.DropinError: trials must be a whole number of at least 1; got 0

    Attributes:
        part: folder within the run's folder, for a run that belongs to it, such as a seed of a confirmation. No option.

    Raises:
        DropinError: a value breaks its option's rule, or two of them do not go together.
    """

    space: str = declared("plasticity", one_of(spaces.names), WHAT, "what trials may do")
    model: str = declared("resnet18", one_of(lambda: models.NAMES), WHAT, "detector to grow")
    model_option: Mapping[str, Any] = declared(
        dict,
        values.MAPPING,
        WHAT,
        "a setting of the model, repeatable",
        metavar="KEY=VALUE",
        default_text=lambda: "; ".join(
            f"{model}: {key}={value}" for model in models.NAMES for key, value in models.search_options(model).items()
        ),
    )
    random_crop: bool = declared(False, values.FLAG, WHAT, "crop long utterances at random in training")
    trials: int | None = declared(
        None,
        whole(1),
        HOW,
        "trials in all, recipes included",
        metavar="N",
        default_text=f"{DEFAULT_TRIALS}, or no limit where --minutes is given",
        resumable=True,
    )
    minutes: float | None = declared(
        None, number(above=0), HOW, "stop so many minutes after the first trial began", metavar="M", resumable=True
    )
    epochs: int = declared(8, whole(2), HOW, "epochs of a trial", metavar="N")
    base_epochs: int = declared(8, whole(1), HOW, "epochs of the base", metavar="N")
    objective: str = declared(
        "weighted",
        one_of(lambda: OBJECTIVES),
        HOW,
        "what is minimised: the weighted EER, or EER and size as two objectives",
    )
    size_weight: float = declared(
        0.1, number(at_least=0), HOW, "the weighted EER is EER * (size / base size)^W", metavar="W"
    )
    max_parameters: int | None = declared(
        None, whole(1), HOW, "reject plans that end with more parameters", metavar="N", default_text="no limit"
    )
    sampler: str = declared("tpe", one_of(lambda: SAMPLERS), HOW, "Optuna sampler that suggests plans")
    stopping: str = declared(
        "halving", one_of(lambda: STOPPING), HOW, "early stopping: asynchronous successive halving, or none"
    )
    prunings_per_growth: int = declared(
        4,
        whole(1),
        HOW,
        "pruning configurations tried per growth checkpoint that reaches the Pareto front",
        metavar="N",
    )
    warm_start: tuple[Path | str, ...] = declared(
        (),
        values.PATHS_OR_URIS,
        HOW,
        "earlier runs, folders or URIs, whose completed trials the sampler learns from",
        metavar="RUN",
    )
    precision: str = declared(
        "auto",
        one_of(lambda: PRECISIONS),
        HOW,
        "of training steps; auto: bfloat16 where the hardware has instructions for it. Scores are float32",
    )
    seed: int = declared(0, whole(0, MAX_SEED), HOW, "seed of every random generator", metavar="N")
    confirm: int = declared(
        0, whole(0), HOW, "in the end train the front anew with N fresh seeds; see search.confirm", metavar="N",
        resumable=True,
    )  # fmt: skip
    controls: bool = declared(
        False, values.FLAG, HOW, "with --confirm: train what the front is compared with as well", resumable=True
    )
    storage: Path | str = declared(
        "runs",
        values.PATH_OR_URI,
        WHERE,
        "folder of runs, or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX: then the run is in the cache and its copy in the "
        "bucket, and the nodes of a cluster need no shared file system",
        metavar="DIR",
    )
    name: str = declared(
        "", values.RUN_NAME, WHERE, "name of the run's folder", default_text="made of options, time and random digits"
    )
    cache: Path = declared(
        default_cache,
        values.PATH,
        WHERE,
        "folder of corpora, features and bases",
        metavar="DIR",
        default_text="DROPIN_CACHE, or dropin in the user's cache folder",
        resumable=True,
    )
    activations_gb: float = declared(
        20.0, number(at_least=0), WHERE, "disk limit of cached frozen-layer activations; 0 keeps none", metavar="GB",
        resumable=True,
    )  # fmt: skip
    growth_cache_gb: float = declared(
        1.0, number(at_least=0), WHERE, "disk limit of post-growth checkpoints while the run goes on", metavar="GB",
        resumable=True,
    )  # fmt: skip
    address: str | None = declared(
        None,
        values.ADDRESS,
        WHERE,
        "an existing Ray cluster: auto or HOST:PORT",
        default_text="this machine",
        resumable=True,
    )
    cpus_per_trial: int = declared(1, whole(1), WHERE, "CPU cores of a trial", metavar="N", resumable=True)
    gpus_per_trial: float | None = declared(
        None,
        number(at_least=0),
        WHERE,
        "GPUs of a trial, fractions allowed",
        metavar="N",
        default_text="1 where there are any",
        resumable=True,
    )
    monitor: bool = declared(
        False,
        values.FLAG,
        WHERE,
        "charts: run Prometheus and Grafana beside the search, as far as they are installed (on a cluster: on its "
        "head node)",
        resumable=True,
    )
    part: str = ""

    def __post_init__(self) -> None:
        """Check every value and what goes together; fill in what depends on other options."""
        check_values(self, but=() if self.name else ("name",))
        if not values.PART.fits(self.part):
            raise DropinError(f"part must be {values.PART}; got {self.part!r:.80}")
        if self.trials is None and self.minutes is None:
            self._set("trials", DEFAULT_TRIALS)
        if not self.name:
            made = time.strftime(f"{self.space}-{self.model}-{self.corpus}-%Y%m%d-%H%M%S")
            self._set("name", f"{made}-{secrets.token_hex(2)}")
        check_corpus(self.corpus, self.corpus_root, self.corpus_options)
        check_trainable(self.corpus)
        check_confirmation(self.seed, self.confirm, self.controls)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the only way in a frozen dataclass, as its own __init__ does it

    @property
    def bucket(self) -> str | None:
        """URI of the object store prefix that holds copies of runs, or ``None``."""
        return self.storage if isinstance(self.storage, str) else None

    @property
    def run_folder(self) -> Path:
        """Absolute folder of everything about the run; in the cache where the storage is a bucket."""
        if isinstance(self.storage, str):
            return bucket_pull.local_folder(bucket_files.join_uri(self.storage, self.name), self.cache) / self.part
        return self.storage / self.name / self.part

    @property
    def run_uri(self) -> str | None:
        """URI of the copy of the run's folder, or ``None``."""
        return None if self.bucket is None else bucket_files.join_uri(self.bucket, *self.full_name.split("/"))

    @property
    def full_name(self) -> str:
        """The run's name, with that of the part."""
        return f"{self.name}/{self.part}" if self.part else self.name

    @property
    def paths(self) -> RunPaths:
        """The files of the run."""
        return RunPaths(self.run_folder)

    @property
    def no_shared_filesystem(self) -> bool:
        """Whether workers may be on nodes that share no file system with this one."""
        return self.bucket is not None and self.address is not None

    @property
    def activations(self) -> Path:
        """Folder of cached frozen-layer activations."""
        return self.cache / "activations"

    @property
    def activations_limit(self) -> int:
        """How many bytes they may take."""
        return int(self.activations_gb * 1e9)

    def completed(self) -> Settings:
        """These settings with the model's options checked and complete. Imports the model's file, and so torch.

        Raises:
            DropinError: an option that the model does not have, or a value that breaks its rule.
        """
        model = models.load(self.model)
        return replace(self, model_option=model.resolve({**model.SEARCH_OPTIONS, **self.model_option}))

    def to_json(self) -> str:
        """Readable JSON that `from_json` reads back to equal settings."""
        return json.dumps(vars(self), indent=2, default=str)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The inverse of `to_json`. Of another version, what is not known here is ignored with a warning.

        Raises:
            DropinError: not settings.
        """
        try:
            found, note = read_fields(text, [one.name for one in fields(cls)])
            made = cls(**found)
        except (TypeError, ValueError, RecursionError) as error:
            raise DropinError(f"not the settings of a run: {error}") from error
        if note:
            warn_once(note)
        return made


def options() -> dict[str, Option]:
    """The options by the names of their fields, in the order of ``--help``."""
    return dict(sorted(options_of(Settings).items(), key=lambda item: GROUPS.index(item[1].group)))
