"""Trials of earlier runs that a new run learns from: what ``--warm-start`` names, refused unless it is comparable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from search.runs.members import StoredRun
from search.runs.record import Record
from search.settings.options import Settings
from search.tuning import study
from search.tuning.space_check import check_compatible, search_space
from trainables.errors import DropinError
from trainables.metrics.weighted_eer import weighted_eer
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import WEIGHTS

SAME = ("space", "model", "model_option", "epochs", "random_crop")
"""Settings that must be those of this run."""


@dataclass(frozen=True)
class EarlierTrial:
    """A finished trial of another run.

    Attributes:
        name: the run and the trial's number in it.
        trial: its parameters.
        record: what came of it; the weighted EER by the size weight of this run.
    """

    name: str
    trial: FrozenTrial
    record: Record


def check(settings: Settings) -> list[StoredRun]:
    """Open the runs to learn from, and refuse those that cannot be compared, before the corpus is read.

    A run that a URI names is pulled into the cache here, once: it is learned from as it is now, whatever becomes of it.

    Raises:
        DropinError: a place is no run or cannot be reached, or a run is of another space, also if it has the same name
            in another version, or detector.
    """
    found = []
    for place in settings.warm_start:
        other = StoredRun.find(place, settings.cache)
        for name in SAME:
            own, theirs = getattr(settings, name), getattr(other.settings, name)
            if own != theirs:
                raise DropinError(
                    f"--warm-start needs runs with the same {name.replace('_', ' ')}; {place} has {theirs}, this run "
                    f"{own}: leave it out"
                )
        for trial in _trials(other.paths.study)[-1:]:
            check_compatible(search_space(settings), trial, f"--warm-start: the latest trial of {place}")
        found.append(other)
    return found


def known(settings: Settings, others: Sequence[StoredRun]) -> list[EarlierTrial]:
    """The finished trials of other runs that the sampler chose, by run and number.

    Args:
        settings: of this run, whose folder holds its base and its corpus.json already.
        others: the runs to learn from, as `check` gives them.

    Raises:
        DropinError: a run is of another corpus or base.
    """
    own = StoredRun.open(settings.run_folder)
    size_base = Architecture.create(settings.model, settings.model_option).size()
    found = []
    for place, other in zip(settings.warm_start, others, strict=True):
        _check_comparable(own, other, place)
        counts = own.corpus["splits"]["dev"]
        records = {record.number: record for record in other.records if record.state == "COMPLETE"}
        for trial in _trials(other.paths.study):
            record = records.get(trial.user_attrs.get("number", -1))
            if record is None or record.eer is None or record.size is None:
                continue
            value = weighted_eer(
                record.eer, record.size, size_base, counts["bona_fide"], counts["spoof"], settings.size_weight
            )
            name = f"{other.folder.name}/{record.number}"
            found.append(EarlierTrial(name, trial, replace(record, weighted_eer=value)))
    return found


def _check_comparable(own: StoredRun, other: StoredRun, place: Path | str) -> None:
    for what, digests in {
        "corpus": (own.corpus["digest"], other.corpus["digest"]),
        "base": (_base_digest(own), _base_digest(other)),
    }.items():
        if digests[0] != digests[1]:
            raise DropinError(
                f"--warm-start needs runs with the same {what}; that of {place} has digest {digests[1][:16]}, "
                f"this run's {digests[0][:16]}: leave it out"
            )


def _base_digest(run: StoredRun) -> str:
    """Of the weights."""
    return hashlib.sha256((run.paths.base / WEIGHTS).read_bytes()).hexdigest()


def _trials(journal: Path) -> list[FrozenTrial]:
    """The complete trials of a study."""
    if not journal.exists():
        return []
    storage = JournalStorage(JournalFileBackend(str(journal)))
    stored = optuna.load_study(study_name=study.NAME, storage=storage)
    return list(stored.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
