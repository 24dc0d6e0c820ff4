from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.runs.trial_log import Record, TrialLog, read

ONE = Record(0, "COMPLETE", "paper", {"grow": {"layer1.0": 3}}, eer=0.125, size=10, total_widths={"layer1.0": 4})
TWO = Record(3, "FAIL", None, {"epochs": 2}, error="RuntimeError: no")


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    assert log.records == {}
    log.append(ONE)
    log.append(TWO)
    assert log.records == {0: ONE, 3: TWO}
    assert read(log.path) == {0: ONE, 3: TWO}
    assert TrialLog(log.path).records == {0: ONE, 3: TWO}


@given(cut=st.integers(1, 80))
def test_a_line_cut_off_anywhere_is_dropped_and_the_log_goes_on(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "trials.jsonl"
    log = TrialLog(path)
    log.append(ONE)
    whole = path.stat().st_size
    log.append(TWO)
    content = path.read_bytes()
    path.write_bytes(content[: whole + min(cut, len(content) - whole - 1)])
    assert read(path) == {0: ONE}
    again = TrialLog(path)
    assert again.records == {0: ONE}
    again.append(TWO)
    assert path.read_bytes() == content


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    TrialLog(path).append(ONE)
    path.write_bytes(b"{oh no\n" + path.read_bytes())
    with pytest.raises(ValueError, match=r"trials\.jsonl, line 1: not a record"):
        read(path)


def test_a_line_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"number": 1}\n')
    with pytest.raises(ValueError, match="line 1: not a record"):
        read(path)


def test_a_trial_ends_once(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.append(ONE)
    with pytest.raises(ValueError, match="trial 0 ended already"):
        log.append(ONE)


def test_a_log_of_a_version_that_wrote_less_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"number": 0, "state": "FAIL", "recipe": null, "plan": {}}\n')
    found = read(path)[0]
    assert found == Record(0, "FAIL", None, {})
    assert (found.ended, found.cpus, found.gpus) == (None, None, None)


def test_nan_never_gets_into_the_file(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        log.append(Record(0, "COMPLETE", None, {}, eer=float("nan")))
    assert not log.path.exists()
