"""The trial log: one line of JSON for every trial that ended, appended at once and never rewritten.

Fronts are made from this file and from nothing else, so what is in it survives whatever happens to the process, to Ray
and to Optuna's study.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from search.runs.append_only import AppendOnlyFile
from search.runs.front import Standings
from search.runs.record import STATES, Record
from search.runs.typed_json import check_fields
from trainables.errors import DropinError


class TrialLog:
    """The file and what is in it.

    Attributes:
        path: the file; made by the first `append`.
        file: what writes it.
        records: all ended trials by number.
        standings: how they stand.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut off is removed from the file.

        Raises:
            DropinError: a line other than the last is not a record.
        """
        self.path = path
        self.records: dict[int, Record] = {}
        self.file = AppendOnlyFile(path, sync=True)
        self.records = read(path)
        self.standings = Standings(self.records.values())

    def append(self, record: Record) -> list[Record]:
        """Write a record so that it is on the disk when this returns, or as soon as there is room (`file`).

        Returns:
            The complete trials that are beaten now and were not before, see `Standings.add`.

        Raises:
            DropinError: the trial is in the log already.
        """
        if record.number in self.records:
            raise DropinError(f"trial {record.number} ended already; a trial ends once")
        self.file.append(json.dumps(asdict(record), allow_nan=False))
        self.records[record.number] = record
        return self.standings.add(record)


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
