"""The files by which a run explains itself, beside its trial log: settings, versions, corpus, results and front."""

from __future__ import annotations

import itertools
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from search.runs import pareto
from search.runs.trial_log import Record
from spaces.recipes import is_recipe
from trainables.corpora.corpus import Corpus

DISTRIBUTIONS = ("torch", "torchaudio", "ray", "optuna", "transformers", "numpy", "pyarrow", "soundfile", "safetensors")
CORPUS_FILE = "corpus.json"
PORTION = 1000
"""Trials that are turned into rows of a table at once."""
SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("state", pa.string()),
        ("recipe", pa.string()),
        ("front", pa.bool_()),
        ("eer", pa.float64()),
        ("eer_low", pa.float64()),
        ("eer_high", pa.float64()),
        ("separated", pa.bool_()),
        ("size", pa.int64()),
        ("weighted_eer", pa.float64()),
        ("loss", pa.float64()),
        ("trainable_parameters", pa.int64()),
        ("epochs", pa.int64()),
        ("seconds", pa.float64()),
        ("seconds_step", pa.float64()),
        ("seconds_forward", pa.float64()),
        ("seconds_backward", pa.float64()),
        ("error", pa.string()),
        ("detector", pa.string()),
        ("plan", pa.string()),
        ("total_widths", pa.string()),
    ]
)
"""Columns of results.parquet and front.parquet. eer_low and eer_high are the ends of a 95 % bootstrap interval;
separated says of members of the front whether their interval is clear of their neighbours' (`separated`); plan and
total_widths are JSON; detector lies in the run's folder."""


def front_of(records: Iterable[Record]) -> list[Record]:
    """The complete trials that no other beats in both EER and size, smallest first."""
    complete = [r for r in records if r.state == "COMPLETE" and r.eer is not None and r.size is not None]
    if not complete:
        return []
    mask = pareto.front(np.array([(r.eer, r.size) for r in complete], dtype=float))
    return sorted((r for r, member in zip(complete, mask, strict=True) if member), key=lambda r: (r.size, r.eer))


def separated(front: Sequence[Record]) -> dict[int, bool]:
    """Of each member of a front, by number, whether its interval of EER is clear of those of its neighbours in size.

    Where it is not, the dev split is too small to tell the two apart, and the smaller one may be as good.

    Args:
        front: in the order of size; members without an interval are left out.
    """
    known = [(r.number, r.eer_low, r.eer_high) for r in front if r.eer_low is not None and r.eer_high is not None]
    found = {number: True for number, _, _ in known}
    for (smaller, low, _), (larger, _, high) in itertools.pairwise(known):
        if low <= high:
            found[smaller] = found[larger] = False
    return found


def best_of(records: Iterable[Record]) -> Record | None:
    """The complete trial with the lowest weighted EER, the earliest of equals; ``None`` where there is none."""
    complete = [r for r in records if r.state == "COMPLETE" and r.weighted_eer is not None]
    return min(complete, key=lambda r: (r.weighted_eer, r.number), default=None)


def write_tables(folder: Path, records: Sequence[Record]) -> None:
    """Write results.parquet (all trials, by number) and front.parquet (smallest first) into a run's folder."""
    front = front_of(records)
    clear = separated(front)
    members = {record.number: clear.get(record.number) for record in front}
    _write_table(folder / "results.parquet", sorted(records, key=lambda r: r.number), members)
    _write_table(folder / "front.parquet", front, members)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_versions(folder: Path) -> None:
    """Write versions.json: Python, the platform and the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    write_text(folder / "versions.json", json.dumps({**found, "command": sys.argv}, indent=2))


def corpus_digest(folder: Path) -> str | None:
    """The digest in corpus.json; ``None`` where there is no such file yet."""
    path = folder / CORPUS_FILE
    return str(json.loads(path.read_text(encoding="utf-8"))["digest"]) if path.exists() else None


def write_corpus(folder: Path, corpus: Corpus) -> None:
    """Write corpus.json: what the corpus is, its digest, its counts, and what was left out."""
    counts: dict[str, Any] = {}
    for split, utterances in corpus.splits.items():
        labels = Counter(one.label for one in utterances)
        counts[split] = {
            "bona_fide": labels[1],
            "spoof": labels[0],
            "speakers": len({one.speaker for one in utterances}),
            "attacks": sorted({one.attack for one in utterances if one.label == 0}),
        }
    about = {
        "name": corpus.name,
        "root": str(corpus.root),
        "digest": corpus.digest(),
        "note": corpus.note,
        "splits": counts,
        "skipped": list(corpus.skipped),
    }
    write_text(folder / CORPUS_FILE, json.dumps(about, indent=2))


def _write_table(path: Path, records: Sequence[Record], members: Mapping[int, bool | None]) -> None:
    part = path.with_name(path.name + ".part")
    with pq.ParquetWriter(part, SCHEMA) as writer:
        # In portions, so that the memory it takes does not grow with the run; an empty table is a portion, too.
        for begin in range(0, max(1, len(records)), PORTION):
            writer.write_table(_portion(records[begin : begin + PORTION], members))
    os.replace(part, path)


def _portion(records: Sequence[Record], members: Mapping[int, bool | None]) -> pa.Table:
    made: dict[str, list[Any]] = {
        "front": [record.number in members for record in records],
        "separated": [members.get(record.number) for record in records],
        "detector": [
            f"detectors/{r.number}" if r.state == "COMPLETE" and (r.number in members or is_recipe(r.recipe)) else None
            for r in records
        ],
        "plan": [json.dumps(record.plan) for record in records],
        "total_widths": [json.dumps(record.total_widths) for record in records],
    }
    columns = [
        pa.array(made[name] if name in made else [getattr(record, name) for record in records], kind)
        for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
