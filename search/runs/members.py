"""What a run has to show: the detectors on its front, and what the front is compared with, its recipes and its base."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from search.runs import trial_log
from search.runs.front import front_of
from search.runs.record import Record
from search.settings.options import Settings, default_cache
from search.storage import bucket_pull
from spaces.recipes import is_recipe
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.run_paths import RunPaths


@dataclass(frozen=True)
class StoredRun:
    """A run as its folder tells it, finished or not.

    Attributes:
        folder: absolute.
        settings: what was asked for.
        corpus: the content of corpus.json.
        records: the trials that ended, in the order of the log, as the run itself makes its front from them.
    """

    folder: Path
    settings: Settings
    corpus: Mapping[str, Any]
    records: tuple[Record, ...]

    @property
    def paths(self) -> RunPaths:
        """The files of the run."""
        return RunPaths(self.folder)

    @classmethod
    def open(cls, folder: Path) -> StoredRun:
        """Read a run's folder.

        Raises:
            DropinError: it is not one, or a file of it cannot be read.
        """
        folder = folder.expanduser().resolve()
        paths = RunPaths(folder)
        if not os.path.isfile(paths.settings):
            raise DropinError(
                f"a run is a folder that search.run wrote; {folder} has no {paths.settings.name}: correct the path"
            )
        try:
            settings = Settings.from_json(paths.settings.read_text(encoding="utf-8"))
            corpus = json.loads(paths.corpus.read_text(encoding="utf-8"))
            digest = corpus["digest"]
        except FileNotFoundError as error:
            raise DropinError(f"run {folder} has not read its corpus yet: wait for it, or see its run.log") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DropinError(
                f"run {folder} cannot be read ({error}): restore its settings.json and corpus.json"
            ) from error
        assert isinstance(digest, str)
        return cls(folder, settings, corpus, tuple(trial_log.read(paths.trials).values()))

    @classmethod
    def find(cls, source: Path | str, cache: Path | None = None) -> StoredRun:
        """Read a run's folder, or that whose copy a URI names, which is pulled into the cache first.

        Args:
            source: a path, or a URI as text.
            cache: folder of caches; ``None`` for the user's.

        Raises:
            DropinError: see `open` and `search.storage.bucket_pull.pull_run`.
        """
        if isinstance(source, Path):
            return cls.open(source)
        cache = (cache or default_cache()).expanduser().resolve()
        run = cls.open(bucket_pull.pull_run(source, cache))
        above, name = bucket_files.split_uri(source)
        settings = replace(run.settings, storage=above, name=name, cache=cache)
        return replace(run, settings=settings)


@dataclass(frozen=True)
class Member:
    """A detector to show.

    Attributes:
        role: ``front`` for a member of the front, else what it is for comparison.
        number: place on the front, 0 for the smallest; ``None`` beside the front.
        record: the trial; ``None`` for the base.
        folder: the detector's folder in the run.
    """

    role: Literal["front", "recipe", "base"]
    number: int | None
    record: Record | None
    folder: Path

    @property
    def name(self) -> str:
        """What a person calls it: the number on the front, the recipe's name, or ``base``."""
        if self.number is not None:
            return str(self.number)
        return "base" if self.record is None else str(self.record.recipe)

    @property
    def size(self) -> int | None:
        """Number of parameters; ``None`` for the base."""
        return None if self.record is None else self.record.size

    @property
    def eer(self) -> float | None:
        """EER on dev, a fraction; ``None`` for the base."""
        return None if self.record is None else self.record.eer

    @property
    def recipe(self) -> str | None:
        """The recipe's name; ``None`` for the base and for what the search chose itself."""
        name = None if self.record is None else self.record.recipe
        return name if is_recipe(name) else None


def front_members(run: StoredRun) -> list[Member]:
    """The Pareto front, smallest first; empty where no trial has completed."""
    front = enumerate(front_of(run.records))
    return [Member("front", number, record, _detector(run, record)) for number, record in front]


def members(run: StoredRun) -> list[Member]:
    """The front, smallest first; then the recipes that ran to their end and are not on it; then the base.

    Raises:
        DropinError: no trial has completed.
    """
    found = front_members(run)
    if not found:
        failures = [record.error for record in run.records if record.error]
        reason = f"the first failed with: {failures[0]}" if failures else f"{len(run.records)} ended at all"
        raise DropinError(f"run {run.folder} has no front: no trial completed ({reason}); see its run.log")
    on_front = {member.record.number for member in found if member.record is not None}
    others = [
        Member("recipe", None, record, _detector(run, record))
        for record in sorted(run.records, key=lambda record: record.number)
        if record.state == "COMPLETE" and record.number not in on_front
    ]
    found += [member for member in others if member.recipe]
    return [*found, Member("base", None, None, run.paths.base)]


def _detector(run: StoredRun, record: Record) -> Path:
    return run.paths.detector(record.number)
