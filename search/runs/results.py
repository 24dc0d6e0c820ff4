"""The tables of a run: results.parquet with all ended trials, front.parquet with those on the Pareto front."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search.runs.front import front_of, separated
from search.runs.record import Record, columns
from spaces.recipes import is_recipe
from trainables.storage.run_paths import RunPaths

PORTION = 1000
"""Trials that are turned into rows of a table at once."""
SCHEMA = pa.schema([*columns().items(), ("front", pa.bool_()), ("separated", pa.bool_()), ("detector", pa.string())])
"""Columns: those of a record (mappings as JSON); front: whether the trial is on it; separated: of members of the front,
whether their interval is clear of their neighbours' (`search.runs.front.separated`); detector: where it is in the run's
folder."""


def results_table(records: Iterable[Record]) -> pa.Table:
    """A row for every ended trial, by number; columns are those of `SCHEMA`."""
    every = sorted(records, key=lambda record: record.number)
    return _portion(every, _members(front_of(every)))


def front_table(records: Iterable[Record]) -> pa.Table:
    """A row for every member of the Pareto front, smallest first; columns are those of `SCHEMA`."""
    front = front_of(records)
    return _portion(front, _members(front))


def write_tables(paths: RunPaths, records: Sequence[Record]) -> None:
    """Write results.parquet (all trials, by number) and front.parquet (smallest first) into a run's folder."""
    front = front_of(records)
    members = _members(front)
    _write_table(paths.results, sorted(records, key=lambda record: record.number), members)
    _write_table(paths.front, front, members)


def _members(front: Sequence[Record]) -> dict[int, bool | None]:
    """The members of a front by number, and whether each is separated from its neighbours."""
    clear = separated(front)
    return {record.number: clear.get(record.number) for record in front}


def _write_table(path: Path, records: Sequence[Record], members: Mapping[int, bool | None]) -> None:
    part = path.with_name(path.name + ".part")
    with pq.ParquetWriter(part, SCHEMA) as writer:
        # In portions, so that the memory it takes does not grow with the run; an empty table is a portion, too.
        for begin in range(0, max(1, len(records)), PORTION):
            writer.write_table(_portion(records[begin : begin + PORTION], members))
    os.replace(part, path)


def _portion(records: Sequence[Record], members: Mapping[int, bool | None]) -> pa.Table:
    detectors = RunPaths(Path()).detectors
    made: dict[str, list[Any]] = {
        "front": [record.number in members for record in records],
        "separated": [members.get(record.number) for record in records],
        "detector": [
            str(detectors / str(r.number))
            if r.state == "COMPLETE" and (r.number in members or is_recipe(r.recipe))
            else None
            for r in records
        ],
    }
    for name in columns():
        values = [getattr(record, name) for record in records]
        made[name] = [json.dumps(value) if isinstance(value, Mapping) else value for value in values]
    return pa.Table.from_arrays([pa.array(made[one.name], one.type) for one in SCHEMA], schema=SCHEMA)
