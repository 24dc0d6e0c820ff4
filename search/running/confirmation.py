"""What a confirmation trains beside a front's members, and what comes of it.

Controls, with the seeds of the members:

- *base*: what all start from;
- *paper* and *control*: the space's recipes;
- *no growth*: a member's own plan without growth and cuts, its optimiser restarted at the same epochs;
- *static replay*: a member's architecture trained from scratch, for the epochs of base and plan together;
- *LoRA*: adapters on the base with as many parameters as a member's plan trains, for as many epochs.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from search.cluster.ray_cluster import Cluster
from search.display.progress import Display
from search.reporting import measurement
from search.running import remote_training
from search.runs.members import Member, StoredRun, members
from search.runs.record import Record
from search.settings.options import Settings
from trainables.jobs import lora, pretraining
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trainables.trial.plan import Plan

Train = Callable[[Settings, Path, Path, Cluster], str]


@dataclass(frozen=True)
class Candidate:
    """Something to train with each seed: a plan, or what is no trial.

    Attributes:
        what: for a person.
        plan: a plan of the run's space, carried out as a trial.
        train: otherwise, what trains it into ``detectors/<name>`` of the seed's folder; gives a note for the user.
    """

    what: str
    plan: Mapping[str, Any] | None = None
    train: Train | None = None


@dataclass
class Row:
    """What came of a candidate.

    Attributes:
        name: the number on the front, or a control's name.
        what: for a person.
        size: parameters; ``None`` until one was trained.
        dev, eval: EER by seed, fractions; eval is empty where the corpus has none.
    """

    name: str
    what: str
    size: int | None = None
    dev: list[float] = field(default_factory=list)
    eval: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        """Name, size, both EERs as median and range in percent, seeds."""
        size = "-" if self.size is None else f"{self.size:,}"
        return [f"{self.name} ({self.what})", size, _spread(self.dev), _spread(self.eval), str(len(self.dev))]


def candidates(run: StoredRun, *, controls: bool) -> dict[str, Candidate]:
    """What to train, by name.

    Raises:
        DropinError: the run has no front.
    """
    arch = Architecture.create(run.settings.model, run.settings.model_option)
    shown = members(run)
    found: dict[str, Candidate] = {}
    for member in shown:
        if member.record is not None and (member.role == "front" or (controls and member.recipe)):
            what = "front" if member.role == "front" else "recipe"
            if member.recipe:
                what = f"{what}, {member.recipe}" if member.role == "front" else what
            found[member.name] = Candidate(what, plan=member.record.plan)
    if controls:
        for member in shown:
            if member.role == "front" and member.record is not None and not member.recipe:
                found |= _controls_of(member.name, member.record, arch)
    return found


def _controls_of(name: str, record: Record, arch: Architecture) -> dict[str, Candidate]:
    final = Plan.from_config(record.plan, arch).final
    found = {}
    if record.plan["grow"] or record.plan["final"]:
        found[f"{name}-no-growth"] = Candidate("no growth", plan=without_growth(record.plan, arch))
    found[f"{name}-static"] = Candidate("static replay", train=partial(_replay, f"{name}-static", final, record.plan))
    # Where all weights train, as many adapters would be as large as the detector; the paper's rank is 8.
    wanted = record.trainable_parameters if record.plan["train"] != "all" else 0
    found[f"{name}-lora"] = Candidate("LoRA", train=partial(_lora, f"{name}-lora", record.plan, wanted or 0))
    return found


def without_growth(plan: Mapping[str, Any], arch: Architecture) -> dict[str, Any]:
    """A plan with neither growth nor cuts; same epochs, learning rates and restarts of the optimiser."""
    parsed = Plan.from_config(plan, arch)
    restarts = [at for at, stage in zip(parsed.starts, parsed.stages, strict=True) if stage.fresh_optimizer]
    return {**plan, "grow": {}, "final": {}, "grow_steps": 1, "prune_steps": 1, "train": "all", "restarts": restarts}


def _replay(
    name: str, final: Architecture, plan: Mapping[str, Any], own: Settings, base: Path, features: Path, cluster: Cluster
) -> str:
    folder = own.paths.detector(name)
    if not folder.exists():
        epochs = own.base_epochs + plan["epochs"]
        settings: dict[str, Any] = {"epochs": epochs, "seed": own.seed, "random_crop": own.random_crop}
        card = {key: value for key, value in load_detector(base).card.items() if key != "eer_dev"}
        rows = remote_training.train_remotely(
            own, cluster, pretraining.pretrain, final, store=features, folder=folder, card=card,
            precision=own.precision,
            from_scratch=True, threads=cluster.cpus, gpu=cluster.gpus > 0, cpus=cluster.cpus, **settings,
        )  # fmt: skip
        _last(rows)
    return f"{name}: trained from scratch"


def _lora(
    name: str, plan: Mapping[str, Any], parameters: int, own: Settings, base: Path, features: Path, cluster: Cluster
) -> str:
    if importlib.util.find_spec("peft") is None:
        return f"{name} is left out, since peft is not installed: pip install -e '.[bench]'"
    folder = own.paths.detector(name)
    if not folder.exists():
        rows = remote_training.train_remotely(
            own, cluster, lora.train, start=base, store=features, plan=dict(plan), parameters=parameters, seed=own.seed,
            folder=folder, precision=own.precision, threads=cluster.cpus, gpu=cluster.gpus > 0, cpus=cluster.cpus,
        )  # fmt: skip
        _last(rows)
    trained = load_detector(folder).card["trainable_parameters"]
    return f"{name}: {trained:,} parameters of adapters trained"


def _last(rows: Any) -> None:
    for _ in rows:
        pass


def score(
    run: StoredRun,
    own: Settings,
    base: Path,
    records: Mapping[str | None, Record],
    rows: dict[str, Row],
    display: Display,
) -> None:
    """Score what one seed gave, and add it to the rows; the base is a row as well."""
    card = load_detector(base).card
    settings = run.settings
    data = measurement.load_scoring_data(
        run, card, root=settings.corpus_root, cache=settings.cache, skip_bad_files=False, display=display
    )
    rows.setdefault("base", Row("base", "base"))
    for done, (name, row) in enumerate(rows.items()):
        display.progress("scoring", done, len(rows))
        record = records.get(name)
        if record is not None and record.state != "COMPLETE":
            continue
        folder = own.paths.detector(name if record is None else record.number)
        found = measurement.score_detector(
            Member("recipe", None, None, base if name == "base" else folder), data, display
        )
        if found is None:
            continue
        entry, _ = found
        row.size = entry.size
        row.dev.append(entry.eer_dev)
        if entry.eval is not None:
            row.eval.append(entry.eval.eer)
    display.progress("scoring", len(rows), len(rows))


TABLE = pa.schema(
    [
        *(("detector", pa.string()), ("what", pa.string()), ("parameters", pa.int64()), ("seed", pa.int64())),
        *(("eer_dev", pa.float64()), ("eer_eval", pa.float64())),
    ]
)


def table(rows: Sequence[Row]) -> pa.Table:
    """A row for every candidate and seed; EERs are fractions, null where the corpus has no eval split."""
    found = [
        (row.name, row.what, row.size, number, dev, row.eval[number] if row.eval else None)
        for row in rows
        for number, dev in enumerate(row.dev)
    ]
    return pa.Table.from_pylist([dict(zip(TABLE.names, values, strict=True)) for values in found], schema=TABLE)


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write `table` as CSV."""
    pyarrow.csv.write_csv(table(rows), path)
    return path


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle, low, high = (100 * value for value in (statistics.median(values), min(values), max(values)))
    return f"{middle:.2f} % ({low:.2f} to {high:.2f})"
