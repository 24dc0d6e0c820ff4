"""The record of an ended trial: one schema, from which the trial log and the Parquet tables are made."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

import pyarrow as pa

STATES = ("COMPLETE", "PRUNED", "FAIL")
JSON = pa.string()
"""Mappings are JSON in tables."""


def _column(kind: pa.DataType, result: str | None = None, *, default: Any = None) -> Any:
    """A field with the type of its column, and the name of the entry of a trial's last result that it is taken from."""
    given: dict[str, Any] = {"default_factory": default} if default is dict else {"default": default}
    return field(**given, metadata={"column": kind, "result": result})


@dataclass(frozen=True)
class Record:
    """An ended trial.

    Attributes:
        number: the trial's number in its run, from 0.
        state: ``COMPLETE`` (ran to its end), ``PRUNED`` (stopped early) or ``FAIL``.
        recipe: the recipe's name, or ``None`` for a trial that the sampler suggested.
        plan: the plan dict.
        eer: dev EER of the detector that is kept, a fraction; ``None`` where the trial reported none, as all below.
        eer_low, eer_high: 95 % bootstrap interval of it, by utterance.
        size: parameters of the final detector.
        weighted_eer: the objective's value.
        loss: training loss of the last epoch.
        trainable_parameters: parameters that were trained in the last stage.
        epochs: epochs the trial ran.
        seconds: time the trial took.
        seconds_step, seconds_forward, seconds_backward: mean time of a training step and its parts.
        seconds_parts: seconds of the trial by what it did with them.
        error: why the trial failed, one line.
        node: address of the machine that it ended on.
        total_widths: neurons by site of the final detector.
        cached_links: how many links of the detector the last epoch did not compute, as their outputs were cached.
        from_growth_cache: whether the trial went on from another one's post-growth checkpoint.
        ended: when the trial ended, in seconds since 1970 (UTC).
        cpus, gpus: how many of each the trial had to itself.
        parameters: the point of the space that it is, with the criterion that was used; empty for recipes.
        attributes: what Optuna's study knows of it beside that, see `trainables.messages.Suggestion`.
    """

    number: int = field(metadata={"column": pa.int64()})
    state: str = field(metadata={"column": pa.string()})
    recipe: str | None = field(metadata={"column": pa.string()})
    plan: Mapping[str, Any] = field(metadata={"column": JSON})
    eer: float | None = _column(pa.float64(), "best_eer")
    eer_low: float | None = _column(pa.float64())
    eer_high: float | None = _column(pa.float64())
    size: int | None = _column(pa.int64(), "size")
    weighted_eer: float | None = _column(pa.float64(), "best_weighted_eer")
    loss: float | None = _column(pa.float64(), "loss")
    trainable_parameters: int | None = _column(pa.int64(), "trainable_parameters")
    epochs: int = _column(pa.int64(), "epoch", default=0)
    seconds: float | None = _column(pa.float64(), "time_total_s")
    seconds_step: float | None = _column(pa.float64(), "seconds_step")
    seconds_forward: float | None = _column(pa.float64(), "seconds_forward")
    seconds_backward: float | None = _column(pa.float64(), "seconds_backward")
    seconds_parts: Mapping[str, float] = _column(JSON, "seconds_parts", default=dict)
    error: str | None = _column(pa.string())
    node: str | None = _column(pa.string(), "node_ip")
    total_widths: Mapping[str, int] = _column(JSON, "total_widths", default=dict)
    cached_links: int = _column(pa.int64(), "cached_links", default=0)
    from_growth_cache: bool = _column(pa.bool_(), "from_growth_cache", default=False)
    ended: float | None = _column(pa.float64())
    cpus: float | None = _column(pa.float64())
    gpus: float | None = _column(pa.float64())
    parameters: Mapping[str, Any] = _column(JSON, default=dict)
    attributes: Mapping[str, Any] = _column(JSON, default=dict)


def plan_digest(plan: Mapping[str, Any]) -> str:
    """The same 12 hexadecimal digits for equal plans, whatever the order of their entries."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]


def columns() -> dict[str, pa.DataType]:
    """The type of each field's column in a table, by its name."""
    return {one.name: one.metadata["column"] for one in fields(Record)}


def from_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that are taken from the last result of a trial; numbers that are not finite are unknown.

    Args:
        result: a `trainables.messages.TrialResult` with what Tune adds; empty where the trial reported nothing.
    """
    found = {}
    for one in fields(Record):
        name = one.metadata.get("result")
        if name is not None and name in result:
            value = result[name]
            found[one.name] = _default(one) if isinstance(value, float) and not math.isfinite(value) else value
    low, high = result.get("best_eer_interval", (None, None))
    return {**found, "eer_low": low, "eer_high": high}


def to_result(record: Record) -> dict[str, Any]:
    """What a record holds of a result, by the names that results have for it."""
    named = {one.metadata["result"]: one.name for one in fields(Record) if one.metadata.get("result")}
    return {name: getattr(record, own) for name, own in named.items()}


def _default(one: Field[Any]) -> Any:
    return None if one.default is MISSING else one.default
