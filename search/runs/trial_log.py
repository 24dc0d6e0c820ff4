"""The trial log: one line of JSON for every trial that ended, appended at once and never rewritten.

Fronts are made from this file and from nothing else, so what is in it survives whatever happens to the process, to Ray
and to Optuna's study.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from search.settings.typed_json import check_fields
from trainables.errors import DropinError

STATES = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class Record:
    """An ended trial.

    Attributes:
        number: the trial's number in its run, from 0.
        state: ``COMPLETE`` (ran to its end), ``PRUNED`` (stopped early) or ``FAIL``.
        recipe: the recipe's name, or ``None`` for a trial that the sampler chose.
        plan: the plan dict.
        eer: dev EER of the kept detector, a fraction; ``None`` where the trial reported none, as all below.
        eer_low, eer_high: 95 % bootstrap interval of it, by utterance.
        loss: training loss of the last epoch.
        size: parameters of the final detector.
        weighted_eer: the objective's value.
        trainable_parameters: parameters that were trained in the last stage.
        epochs: epochs the trial ran.
        seconds: time the trial took.
        seconds_step, seconds_forward, seconds_backward: mean time of a training step and its parts.
        seconds_parts: seconds of the trial by what it did with them.
        error: why the trial failed, one line.
        node: address of the machine that it ended on.
        total_widths: neurons by site of the final detector.
        cached_links: how many links of the detector the last epoch did not compute, their outputs being in the cache.
        from_growth_cache: whether the trial went on from another one's grown stage.
        ended: when the trial ended, in seconds since 1970 (UTC).
        cpus, gpus: how many of each the trial had to itself.
    """

    number: int
    state: str
    recipe: str | None
    plan: Mapping[str, Any]
    eer: float | None = None
    eer_low: float | None = None
    eer_high: float | None = None
    loss: float | None = None
    size: int | None = None
    weighted_eer: float | None = None
    trainable_parameters: int | None = None
    epochs: int = 0
    seconds: float | None = None
    seconds_step: float | None = None
    seconds_forward: float | None = None
    seconds_backward: float | None = None
    seconds_parts: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    node: str | None = None
    total_widths: Mapping[str, int] = field(default_factory=dict)
    cached_links: int = 0
    from_growth_cache: bool = False
    ended: float | None = None
    cpus: float | None = None
    gpus: float | None = None


class TrialLog:
    """The file and what is in it.

    Attributes:
        path: the file; made by the first `append`.
        records: all ended trials by number.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut off is removed from the file.

        Raises:
            DropinError: a line other than the last is not a record.
        """
        self.path = path
        self.records: dict[int, Record] = {}
        drop_cut_off_line(path)
        self.records = read(path)

    def append(self, record: Record) -> None:
        """Write a record so that it is on the disk when this returns.

        Raises:
            DropinError: the trial is in the log already.
        """
        if record.number in self.records:
            raise DropinError(f"trial {record.number} ended already; a trial ends once")
        line = json.dumps(asdict(record), allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.records[record.number] = record


def read(path: Path) -> dict[int, Record]:
    """The records of a log by number; none where there is no file. A cut-off last line is passed over.

    Raises:
        DropinError: a line other than the last is not a record.
    """
    found: dict[int, Record] = {}
    if not path.exists():
        return found
    names = {one.name for one in fields(Record)}
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            record = Record(**{key: value for key, value in json.loads(line).items() if key in names})
            check_fields(record)
            if record.number < 0 or record.state not in STATES:
                raise DropinError(f"number and state must be 0 or more and one of {', '.join(STATES)}")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DropinError(f"{path}, line {number}: not a record of a trial ({error}): remove the line") from error
        found[record.number] = record
    return found


def drop_cut_off_line(path: Path) -> None:
    """Remove what follows the last line end of a file of lines, left by a process that died while writing."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
