"""What a confirmation trains: a front's members anew, and controls beside them.

Controls, with the seeds of the members:

- *base*: what all start from;
- *paper* and *control*: the space's recipes;
- *no growth*: a member's own plan without growth and cuts, its optimiser restarted at the same epochs;
- *static replay*: a member's architecture trained from scratch, for the epochs of base and plan together;
- *LoRA*: adapters on the base with as many parameters as a member's plan trains in the end, as near as a rank comes,
  for as many epochs.

A front changes when its run goes on, so nothing is known by its place on it: what was trained is kept by the number and
the digest of the trial's plan.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from search.cluster.ray_cluster import Cluster
from search.display.progress import Display
from search.reporting import measurement
from search.running import remote_training
from search.running.confirmation_table import Row
from search.runs.members import Member, StoredRun, members
from search.runs.record import Record, plan_digest
from search.settings.options import Settings
from trainables.jobs import lora, pretraining
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trainables.trial.plan import Plan

BASE = "base"
"""Key and name of the row of the base."""


@dataclass(frozen=True)
class Seed:
    """What one seed of a confirmation trains with.

    Attributes:
        settings: of the seed's own run.
        base: folder of the base that was trained with this seed.
        features: folder of the features.
        cluster: the Ray cluster.
    """

    settings: Settings
    base: Path
    features: Path
    cluster: Cluster


Train = Callable[[Seed], str]


@dataclass(frozen=True)
class Candidate:
    """Something to train with each seed: a plan, or what is no trial.

    Attributes:
        name: the number on the front as it is now, or a control's name.
        what: for a person.
        key: what it is called in the folder of a seed, whatever the front looks like later.
        plan: a plan of the run's space, carried out as a trial.
        train: otherwise, what trains it into ``detectors/<key>`` of the seed's folder; gives a note for the user.
    """

    name: str
    what: str
    key: str
    plan: Mapping[str, Any] | None = None
    train: Train | None = None


def candidates(run: StoredRun, *, controls: bool) -> list[Candidate]:
    """What to train, in the order of the table.

    Raises:
        DropinError: the run has no front.
    """
    arch = Architecture.create(run.settings.model, run.settings.model_option)
    found, searched = [], []
    for member in members(run):
        if member.record is None or not (member.role == "front" or (controls and member.recipe)):
            continue
        what = "front" if member.role == "front" else "recipe"
        if member.recipe and member.role == "front":
            what = f"{what}, {member.recipe}"
        found.append(Candidate(member.name, what, key(member.record), plan=member.record.plan))
        if member.role == "front" and not member.recipe:
            searched.append((member.name, member.record))
    if controls:
        found += [control for name, record in searched for control in _controls_of(name, record, arch)]
    return found


def key(record: Record) -> str:
    """What a trial's plan is called in a confirmation: by the trial's number, and by what the plan says."""
    return f"trial-{record.number}-{plan_digest(record.plan)}"


def _controls_of(name: str, record: Record, arch: Architecture) -> Iterator[Candidate]:
    of, final = key(record), Plan.from_config(record.plan, arch).final
    if record.plan["grow"] or record.plan["final"]:
        plan = without_growth(record.plan, arch)
        yield Candidate(f"{name}-no-growth", "no growth", f"{of}-no-growth", plan=plan)
    replay = partial(_replay, f"{name}-static", f"{of}-static", final, record.plan)
    yield Candidate(f"{name}-static", "static replay", f"{of}-static", train=replay)
    trained = record.trainable_parameters or final.size()
    adapters = partial(_lora, f"{name}-lora", f"{of}-lora", record.plan, trained)
    yield Candidate(f"{name}-lora", "LoRA", f"{of}-lora", train=adapters)


def without_growth(plan: Mapping[str, Any], arch: Architecture) -> dict[str, Any]:
    """A plan with neither growth nor cuts; same epochs, learning rates and restarts of the optimiser."""
    parsed = Plan.from_config(plan, arch)
    restarts = [at for at, stage in zip(parsed.starts, parsed.stages, strict=True) if stage.fresh_optimizer]
    return {**plan, "grow": {}, "final": {}, "grow_steps": 1, "prune_steps": 1, "train": "all", "restarts": restarts}


def _replay(name: str, key: str, final: Architecture, plan: Mapping[str, Any], seed: Seed) -> str:
    folder = seed.settings.paths.detector(key)
    if not folder.exists():
        epochs = seed.settings.base_epochs + plan["epochs"]
        card = {key: value for key, value in load_detector(seed.base).card.items() if key != "eer_dev"}
        _train(seed, folder, pretraining.pretrain, final, epochs=epochs, card=card, from_scratch=True)
    return f"{name}: trained from scratch"


def _lora(name: str, key: str, plan: Mapping[str, Any], parameters: int, seed: Seed) -> str:
    if importlib.util.find_spec("peft") is None:
        return f"{name} is left out, since peft is not installed: pip install -e '.[bench]'"
    folder = seed.settings.paths.detector(key)
    if not folder.exists():
        _train(seed, folder, lora.train, start=seed.base, plan=dict(plan), parameters=parameters)
    card = load_detector(folder).card
    return f"{name}: rank {card['lora_rank']}, {card['trainable_parameters']:,} parameters of adapters trained"


def _train(seed: Seed, folder: Path, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Run a training function on the cluster, with what is the same for all of a seed."""
    own, cluster = seed.settings, seed.cluster
    rows = remote_training.train_remotely(
        own, cluster, function, *arguments, store=seed.features, folder=folder, seed=own.seed,
        random_crop=own.random_crop, precision=own.precision, threads=cluster.cpus, gpu=cluster.gpus > 0,
        cpus=cluster.cpus, **named,
    )  # fmt: skip
    for _ in rows:
        pass


def score(
    run: StoredRun,
    own: Settings,
    base: Path,
    records: Mapping[str | None, Record],
    rows: Sequence[Row],
    display: Display,
) -> None:
    """Score what one seed gave, and add it to the rows.

    Args:
        run: the run that is confirmed.
        own: settings of the seed.
        base: the seed's base, which the row with the key ``base`` is.
        records: the seed's trials by key.
        rows: of all candidates.
        display: told how far it is.
    """
    card = load_detector(base).card
    settings = run.settings
    data = measurement.load_scoring_data(
        run, card, root=settings.corpus_root, cache=settings.cache, skip_bad_files=False, display=display
    )
    for done, row in enumerate(rows):
        display.progress("scoring", done, len(rows))
        record = records.get(row.key)
        if record is not None and record.state != "COMPLETE":
            continue
        folder = base if row.key == BASE else own.paths.detector(row.key if record is None else record.number)
        found = measurement.score_detector(Member("recipe", None, None, folder), data, display)
        if found is None:
            continue
        entry, detector = found
        row.size = entry.size
        if detector is not None:
            row.lora_rank = detector.card.get("lora_rank")
            row.trained_parameters = detector.card.get("trainable_parameters")
        row.dev[own.seed] = entry.eer_dev
        if entry.eval is not None:
            row.eval[own.seed] = entry.eval.eer
    display.progress("scoring", len(rows), len(rows))
