"""The searcher of a resumed run: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from search.runs.record import Record
from searchers import INITIAL_POINTS, RECIPES, record, result, run, searcher, suggested, trials


def test_prunings_that_had_not_started_come_next_in_a_resumed_run(tmp_path: Path) -> None:
    def others(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{**parameters, "size": parameters["size"] + step} for step in (-1, 1, 2)]

    first = searcher(tmp_path, prunings=others)
    configs = [suggested(first, "0")]
    first.on_trial_complete("0", result(configs[0]["plan"]))
    configs.append(suggested(first, "1"))
    first.on_trial_complete("1", {**result(configs[1]["plan"]), "best_eer": 0.9, "size": 1000})
    lost = suggested(first, "2")  # the process dies here: one sibling was under way, one had not begun
    ended = {
        0: Record(0, "COMPLETE", None, configs[0]["plan"], eer=0.1, size=50, weighted_eer=0.2),
        1: Record(1, "COMPLETE", None, configs[1]["plan"], eer=0.9, size=1000, weighted_eer=0.9),
    }
    again = searcher(tmp_path, ended, prunings=others)
    found = [suggested(again, str(number)) for number in range(3)]
    assert found[0] == lost
    assert found[1]["plan"] == {**configs[0]["plan"], "size": configs[0]["plan"]["size"] + 2}
    assert found[2]["plan"]["x"] != configs[0]["plan"]["x"]


def test_a_run_resumed_between_trials_chooses_as_if_it_had_gone_on(tmp_path: Path) -> None:
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    through.mkdir()
    stopped.mkdir()
    expected = run(searcher(through), 8)
    first = searcher(stopped)
    configs = [suggested(first, "0")]
    first.on_trial_complete("0", result(configs[0]["plan"]))
    rest = run(searcher(stopped, {0: record(configs[0])}), 7, begin=1)
    assert [configs[0]["plan"], *rest] == expected


def test_interrupted_trials_are_rescheduled_first_and_nothing_stays_running(tmp_path: Path) -> None:
    before = searcher(tmp_path, recipes=RECIPES, initial_points=INITIAL_POINTS)
    configs = [suggested(before, str(i)) for i in range(5)]
    before.on_trial_complete("3", result(configs[3]["plan"]))
    ended = {0: record(configs[0]), 3: record(configs[3])}
    # The process dies here: recipe 1, point 2 and trial 4 were under way.
    after = searcher(tmp_path, ended, recipes=RECIPES, initial_points=INITIAL_POINTS)
    assert all(trial.state != TrialState.RUNNING for trial in trials(tmp_path))
    again = [suggested(after, str(i)) for i in range(4)]
    assert again[:3] == [configs[1], configs[2], configs[4]]
    assert again[3]["number"] == 5


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED", "FAIL"])
def test_what_the_log_knows_and_the_study_does_not_is_told(state: str, tmp_path: Path) -> None:
    config = suggested(searcher(tmp_path), "0")
    searcher(tmp_path, {0: record(config, state)})
    (trial,) = trials(tmp_path)
    assert trial.state.name == state
    assert trial.value == (result(config["plan"])["best_weighted_eer"] if state == "COMPLETE" else None)


def test_a_trial_that_the_study_knows_and_the_log_does_not_is_run_again(tmp_path: Path) -> None:
    before = searcher(tmp_path)
    config = suggested(before, "0")
    before.on_trial_complete("0", result(config["plan"]))
    assert suggested(searcher(tmp_path), "0") == config


def test_a_journal_whose_last_line_was_cut_off_is_read(tmp_path: Path) -> None:
    run(searcher(tmp_path), 3)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    run(searcher(tmp_path, {i: Record(i, "COMPLETE", None, {}) for i in range(3)}), 1)
    assert len(trials(tmp_path)) == 4
