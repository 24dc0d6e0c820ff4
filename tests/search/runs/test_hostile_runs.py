"""Files of a run with anything in them: each is what it should be, or a ValueError that says what is wrong."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import architecture, trained_like
from mutations import DEEP, JSON, damaged, mutated, outcome
from search.runs import results
from search.runs.front import best_of, front_of
from search.runs.trial_log import Record, TrialLog, read
from search.runs.typed_json import check_fields
from search.scoring.scorer import Scorer
from search.settings.command_line import parse
from search.settings.options import Settings
from search.tuning.halving import Halving, Rung, describe_rungs
from trainables.storage.checkpoint import Detector
from trainables.storage.run_paths import RunPaths

RECORDS = [
    Record(0, "COMPLETE", "paper", {"grow": {"layer1.0": 3}}, eer=0.125, size=10, weighted_eer=1.0, epochs=2),
    Record(1, "PRUNED", None, {"epochs": 2}, eer=0.5, eer_low=0.25, eer_high=0.75, size=9, total_widths={"a": 4}),
    Record(2, "FAIL", None, {}, error="RuntimeError: no", seconds_parts={"setup": 1.5}),
]
ROWS = [[False, 1, 0, [0.5, 10.0]], [True, 2, 0, [0.25, 10]], [True, 2, 3, [0.125, 7.0]]]
CARD: dict[str, Any] = {"front_end": "lfcc", "seconds": 4.0, "threshold": -0.1, "corpus": {"name": "a", "note": "b"}}


@dataclass(frozen=True)
class Sample:
    """One field of each kind that is checked."""

    whole: int
    number: float
    maybe: float | None
    said: bool
    places: tuple[Path, ...]
    counts: Mapping[str, int]
    anything: Mapping[str, Any]


GOOD: dict[str, Any] = {
    **{"whole": 1, "number": 1.5, "maybe": None, "said": True, "places": (Path("a"),), "counts": {"a": 1}},
    "anything": {"a": [1]},
}


@pytest.mark.parametrize("changed", [{}, {"number": 10**300}, {"maybe": 3}, {"places": ()}, {"counts": {}}])
def test_fields_that_fit(changed: dict[str, Any]) -> None:
    check_fields(Sample(**{**GOOD, **changed}))


@pytest.mark.parametrize(
    ("changed", "must"),
    [
        ({"whole": 1.0}, "whole must be int; got 1.0"),
        ({"whole": True}, "whole must be int; got True"),
        ({"number": float("nan")}, "number must be float; got nan"),
        ({"number": 10**400}, "number must be float; got 1000"),
        ({"maybe": "1"}, "maybe must be float | None; got '1'"),
        ({"said": 1}, "said must be bool; got 1"),
        ({"places": [Path("a")]}, "places must be tuple"),
        ({"places": ("a",)}, "places must be tuple"),
        ({"counts": {"a": "b"}}, "counts must be .*Mapping"),
        ({"counts": {1: 1}}, "counts must be .*Mapping"),
        ({"anything": []}, "anything must be .*Mapping"),
    ],
)
def test_fields_that_do_not_fit(changed: dict[str, Any], must: str) -> None:
    with pytest.raises(ValueError, match=must.replace("|", r"\|")):
        check_fields(Sample(**{**GOOD, **changed}))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def lines() -> list[dict[str, Any]]:
    return [json.loads(json.dumps(asdict(record))) for record in RECORDS]


def check_log(path: Path, content: bytes) -> None:
    """Read a log; what is read must do for the tables and for another line."""
    path.write_bytes(content)
    found = outcome(read, path)
    if isinstance(found, ValueError):
        assert str(found).startswith(f"{path}, line ")
        return
    records = list(found.values())
    front_of(records)
    best_of(records)
    results.write_tables(RunPaths(path.parent), records)
    assert TrialLog(path).records == found


@settings(max_examples=100)
@given(data=st.data())
def test_any_log_is_read_or_refused(data: st.DataObject, place: Path) -> None:
    whole = "".join(f"{json.dumps(line)}\n" for line in lines()).encode()
    check_log(place / "trials.jsonl", data.draw(damaged(whole)))


@settings(max_examples=150)
@given(data=st.data())
def test_any_record_is_read_or_refused(data: st.DataObject, place: Path) -> None:
    changed = data.draw(st.sampled_from(lines()).flatmap(mutated))
    check_log(place / "trials.jsonl", f"{json.dumps(changed)}\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        *('{"number": [], "state": "COMPLETE", "recipe": null, "plan": {}}', "[]", "3", DEEP.decode()),
        '{"number": 0, "state": "COMPLETE", "recipe": null, "plan": {}, "eer": NaN}',
        '{"number": 0, "state": "DONE", "recipe": null, "plan": {}}',
        '{"number": -1, "state": "FAIL", "recipe": null, "plan": {}}',
        '{"number": 0, "state": "FAIL", "recipe": null, "plan": {}, "size": 1e3}',
    ],
)
def test_lines_that_are_no_records(line: str, place: Path) -> None:
    path = place / "trials.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(ValueError, match="line 1: not a record of a trial"):
        read(path)


@settings(max_examples=150)
@given(data=st.data())
def test_any_settings_are_read_or_refused(data: st.DataObject, place: Path) -> None:
    given_ = parse(["--storage", str(place / "runs"), "--name", "one", "--cache", str(place), "--warm-start", "a", "b"])
    changed = data.draw(mutated(json.loads(given_.to_json())) | JSON)
    found = outcome(Settings.from_json, json.dumps(changed))
    if isinstance(found, ValueError):
        assert str(found).startswith("not the settings of a run: ")
        return
    assert Settings.from_json(found.to_json()) == found
    assert found.run_folder.name is not None
    assert found.activations_limit is not None


def test_settings_without_an_end_are_refused() -> None:
    with pytest.raises(ValueError, match="not the settings of a run"):
        Settings.from_json(DEEP.decode())


@settings(max_examples=150)
@given(data=st.data())
def test_any_verdicts_are_taken_or_refused(data: st.DataObject) -> None:
    changed = data.draw(mutated(ROWS))
    rows = json.loads(json.dumps(changed))
    if not isinstance(rows, list):
        return
    halving = outcome(Halving.from_state, rows)
    if isinstance(halving, ValueError):
        assert re.match("a row must be|all rows must have equally many values", str(halving))
        return
    assert Halving.from_state(json.loads(json.dumps(halving.state()))).reached == halving.reached
    describe_rungs(halving.reached)
    values = next((list(own) for trials in halving.reached.values() for own in trials.values()), [0.5])
    for rung in [*halving.reached, Rung(True, 1)]:
        halving.promote(99, rung, values)


@pytest.mark.parametrize(
    "row",
    [
        *([True, 1, 1, [float("nan")]], [True, 1, 1, [float("inf")]], [True, 1, 1, []], [True, 1, 1, [1, 2, 3]]),
        *([True, 0, 1, [1]], [True, 10**9, 1, [1]], [True, True, 1, [1]], [True, 1, -1, [1]], [True, 1, 1, [True]]),
        *([True, 1, 1, ["0.5"]], [True, 1, 1, [10**400]]),
    ],
)
def test_verdicts_that_cannot_be_are_refused(row: Any) -> None:
    with pytest.raises(ValueError, match="a row must be recovery, halvings, trial and its values"):
        Halving.from_state([row])


def test_verdicts_by_different_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many values; got some with 1 and 2"):
        Halving.from_state([[True, 1, 0, [0.5]], [True, 1, 1, [0.5, 7]]])


@settings(max_examples=100)
@given(data=st.data())
def test_any_card_does_or_is_refused(data: st.DataObject) -> None:
    changed = data.draw(mutated(CARD))
    if not isinstance(changed, dict):
        return
    arch = architecture("grnn")
    scorer = outcome(Scorer, Detector(arch, trained_like(arch), changed))
    assert isinstance(scorer, ValueError) or scorer.verdict(sys.float_info.max) == "bona fide"
