"""Trials of other runs that a new run learns from: those that ``--warm-start`` names, rejected unless comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from search.runs.members import StoredRun
from search.runs.record import Record
from search.settings.options import Settings
from search.tuning import study
from search.tuning.journal import Damaged
from search.tuning.record_trial import trial_of
from search.tuning.space_check import check_compatible, search_space
from spaces.recipes import is_recipe
from trainables.errors import DropinError
from trainables.metrics.weighted_eer import weighted_eer
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import weights_digest

SAME_SETTINGS = ("space", "model", "model_option", "epochs", "random_crop")
"""Settings in which the runs must agree."""


@dataclass(frozen=True)
class WarmStartTrial:
    """A finished trial of another run.

    Attributes:
        name: the run and the trial's number in it.
        trial: its parameters.
        record: its record; the weighted EER is that of this run's size weight.
    """

    name: str
    trial: FrozenTrial
    record: Record


def open_runs(settings: Settings) -> list[StoredRun]:
    """Open the runs to learn from, and reject those that are not comparable, before the corpus is read.

    A run that a URI names is downloaded into the cache here, once: it is used as it is now, however it continues.

    Raises:
        DropinError: a folder or URI is no run or cannot be reached, or a run is of another space, also if it has the
            same name in another version, or of another detector; or its trials are not known.
    """
    found = []
    for source in settings.warm_start:
        other = StoredRun.find(source, settings.cache)
        for name in SAME_SETTINGS:
            own, theirs = getattr(settings, name), getattr(other.settings, name)
            if own != theirs:
                raise DropinError(
                    f"--warm-start needs runs with the same {name.replace('_', ' ')}; {source} has {theirs}, this run "
                    f"{own}: leave it out"
                )
        for trial in _trials(settings, other, source)[-1:]:
            check_compatible(search_space(settings), trial, f"--warm-start: the latest trial of {source}")
        found.append(other)
    return found


def warm_start_trials(settings: Settings, others: Sequence[StoredRun]) -> list[WarmStartTrial]:
    """The complete trials of other runs that the sampler suggested, by run and number.

    Args:
        settings: of this run, whose folder holds its base and its corpus.json already.
        others: the runs to learn from, as `open_runs` returns them.

    Raises:
        DropinError: a run is of another corpus or base, or its trials are not known.
    """
    own = StoredRun.open(settings.run_folder)
    size_base = Architecture.create(settings.model, settings.model_option).size()
    found = []
    for source, other in zip(settings.warm_start, others, strict=True):
        _check_comparable(own, other, source)
        counts = own.corpus["splits"]["dev"]
        records = {record.number: record for record in other.records if record.state == "COMPLETE"}
        for trial in _trials(settings, other, source):
            record = records.get(trial.user_attrs.get("number", -1))
            if record is None or record.eer is None or record.size is None:
                continue
            value = weighted_eer(
                record.eer, record.size, size_base, counts["bona_fide"], counts["spoof"], settings.size_weight
            )
            name = f"{other.folder.name}/{record.number}"
            found.append(WarmStartTrial(name, trial, replace(record, weighted_eer=value)))
    return found


def _check_comparable(own: StoredRun, other: StoredRun, source: Path | str) -> None:
    for what, digests in {
        "corpus": (own.corpus["digest"], other.corpus["digest"]),
        "base": (weights_digest(own.paths.base), weights_digest(other.paths.base)),
    }.items():
        if digests[0] != digests[1]:
            raise DropinError(
                f"--warm-start needs runs with the same {what}; that of {source} has digest {digests[1][:16]}, "
                f"this run's {digests[0][:16]}: leave it out"
            )


def _trials(settings: Settings, run: StoredRun, source: Path | str) -> list[FrozenTrial]:
    """The complete trials of another run that its sampler suggested, as its trial log has them.

    The study's journal is read for trials of a version whose log had no parameters.

    Raises:
        DropinError: a trial is no point of the space, or the journal is needed and cannot be read.
    """
    space, complete = search_space(settings), [record for record in run.records if record.state == "COMPLETE"]
    whose = f"{source} (--warm-start)"
    found = [trial_of(record, space, _value, whose) for record in complete if record.parameters]
    without = {record.number for record in complete if not record.parameters and not is_recipe(record.recipe)}
    if not without:
        return found
    try:
        stored = study.load(run.paths.study).get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    except (Damaged, OSError) as error:
        raise DropinError(
            f"--warm-start: the study of {source} cannot be read ({error}): leave it out, or restore the file"
        ) from error
    return [*(trial for trial in stored if trial.user_attrs.get("number") in without), *found]


def _value(record: Record) -> list[float]:
    """Its own weighted EER; in the study of the new run it counts by that of `WarmStartTrial.record`."""
    return [record.weighted_eer or 0.0]
