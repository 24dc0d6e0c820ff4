"""What came of a confirmation: a row for every detector, its EERs by seed, as a table and as CSV."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv


@dataclass
class Row:
    """What came of a candidate.

    Attributes:
        name: the number on the front, or a control's name.
        what: for a person.
        key: what it is called in the folder of a seed; it has the digest of the plan.
        size: parameters; ``None`` until one was trained.
        trained_parameters: of a LoRA control, parameters of the adapters.
        lora_rank: of a LoRA control.
        dev, eval: EER by seed, fractions; eval is empty where the corpus has none.
    """

    name: str
    what: str
    key: str = ""
    size: int | None = None
    trained_parameters: int | None = None
    lora_rank: int | None = None
    dev: dict[int, float] = field(default_factory=dict)
    eval: dict[int, float] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Name, size, both EERs as median and range in percent, seeds."""
        size = "-" if self.size is None else f"{self.size:,}"
        what = self.what
        if self.lora_rank is not None and self.trained_parameters is not None:
            what = f"{what}, rank {self.lora_rank}, {self.trained_parameters:,} trained"
        errors = [_spread(one.values()) for one in (self.dev, self.eval)]
        return [f"{self.name} ({what})", size, *errors, str(len(self.dev))]


TABLE = pa.schema(
    [
        *(("detector", pa.string()), ("what", pa.string()), ("key", pa.string()), ("parameters", pa.int64())),
        *(("trained_parameters", pa.int64()), ("lora_rank", pa.int64()), ("seed", pa.int64())),
        *(("eer_dev", pa.float64()), ("eer_eval", pa.float64())),
    ]
)


def table(rows: Sequence[Row]) -> pa.Table:
    """A row for every candidate and seed that gave a detector; EERs are fractions, null without an eval split."""
    found = [
        {
            "detector": row.name,
            "what": row.what,
            "key": row.key,
            "parameters": row.size,
            "trained_parameters": row.trained_parameters,
            "lora_rank": row.lora_rank,
            "seed": seed,
            "eer_dev": eer,
            "eer_eval": row.eval.get(seed),
        }
        for row in rows
        for seed, eer in sorted(row.dev.items())
    ]
    return pa.Table.from_pylist(found, schema=TABLE)


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write `table` as CSV, whole or not at all."""
    part = path.with_name(path.name + ".part")
    pyarrow.csv.write_csv(table(rows), part)
    part.replace(path)
    return path


def read(path: Path) -> pa.Table:
    """Read what `write` wrote.

    Raises:
        OSError: there is none.
    """
    types = pyarrow.csv.ConvertOptions(column_types=TABLE, strings_can_be_null=False)
    return pyarrow.csv.read_csv(path, convert_options=types)


def _spread(values: Collection[float]) -> str:
    if not values:
        return "-"
    middle, low, high = (100 * value for value in (statistics.median(values), min(values), max(values)))
    return f"{middle:.2f} % ({low:.2f} to {high:.2f})"
