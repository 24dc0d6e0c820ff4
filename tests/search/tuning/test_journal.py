"""The journal's file as Optuna's storage writes and reads it through our backend."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from search.tuning.journal import Damaged, ReadingBackend, SingleWriterBackend, set_aside, storage_of


def test_logs_are_read_from_a_number_on(tmp_path: Path) -> None:
    backend = SingleWriterBackend(tmp_path / "journal")
    assert list(backend.read_logs(0)) == []
    backend.append_logs([{"op_code": 0}, {"op_code": 1}])
    backend.append_logs([{"op_code": 2}])
    assert list(backend.read_logs(1)) == [{"op_code": 1}, {"op_code": 2}]
    assert list(backend.read_logs(3)) == []
    assert list(backend.read_logs(0)) == [{"op_code": 0}, {"op_code": 1}, {"op_code": 2}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
batches = st.lists(st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=3), max_size=6)


@given(batches, st.data())
def test_whoever_reads_gets_what_was_appended(appended: list[list[dict[str, Any]]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        backend = SingleWriterBackend(path)
        logs: list[dict[str, Any]] = []
        for batch in appended:
            backend.append_logs(batch)
            logs += batch
            number = data.draw(st.integers(0, len(logs)))
            assert list(backend.read_logs(number)) == logs[number:]
        assert list(SingleWriterBackend(path).read_logs(0)) == logs
        assert list(JournalFileBackend(str(path)).read_logs(0)) == logs


def test_what_the_storage_has_written_is_not_read_from_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    storage = JournalStorage(SingleWriterBackend(path))
    study = optuna.create_study(storage=storage, study_name="search")
    path.write_bytes(b"")  # whoever read it now would find nothing
    params = {"x": 0.5}
    for number in range(3):
        study.add_trial(
            create_trial(state=TrialState.RUNNING, params=params, distributions={"x": FloatDistribution(0.0, 1.0)})
        )
        storage.set_trial_state_values(number, TrialState.COMPLETE, [0.25])
    assert [(trial.params, trial.value) for trial in study.trials] == [(params, 0.25)] * 3
    lines = path.read_text().splitlines()
    assert len(lines) == 6
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_line_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    SingleWriterBackend(path).append_logs([{"op_code": 0}])
    with path.open("ab") as file:
        file.write(b'{"op_code":')
    reopened = SingleWriterBackend(path)
    reopened.append_logs([{"op_code": 1}])
    assert list(reopened.read_logs(0)) == [{"op_code": 0}, {"op_code": 1}]


@pytest.mark.parametrize("line", ["no log", "[1, 2]", "\udcff"])
def test_a_line_that_is_no_log_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    optuna.create_study(storage=JournalStorage(SingleWriterBackend(path)), study_name="search")
    with path.open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")
    for backend in (SingleWriterBackend, ReadingBackend):
        with pytest.raises(Damaged, match=r"journal, line 2 must be a JSON object; got .*"):
            storage_of(backend(path), path)


def test_a_journal_that_is_only_read_may_be_cut_off_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    SingleWriterBackend(path).append_logs([{"op_code": 0}, {"op_code": 1}])
    with path.open("ab") as file:
        file.write(b'{"op_code":')
    before = path.read_bytes()
    assert list(ReadingBackend(path).read_logs(1)) == [{"op_code": 1}]
    assert path.read_bytes() == before


def test_each_journal_that_is_set_aside_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    for text in ("first", "second"):
        path.write_text(text)
        set_aside(path)
    found = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert found == {"study.journal.damaged-1": "first", "study.journal.damaged-2": "second"}
