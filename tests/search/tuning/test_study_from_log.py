"""The trial log alone is enough: a study whose journal is lost, damaged or behind is made of what the log has."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from logged_runs import LoggedRun
from mutations import damaged
from pretended import space
from search.runs.trial_log import read
from search.tuning.feasibility import Feasibility
from search.tuning.searcher import PlanSearch
from searchers import INITIAL_POINTS, RECIPES, result, suggested, trials
from trainables.errors import DropinError

SAMPLERS = ("tpe", "nsga2", "random")  # gp takes seconds


def with_criterion(trial: optuna.Trial) -> dict[str, Any]:
    return {**space(trial), "criterion": trial.suggest_categorical("criterion", ["original", "taylor"])}


def others(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**parameters, "size": parameters["size"] + step} for step in (-1, 1)]


def limited(plan: Mapping[str, Any]) -> Feasibility:
    return Feasibility("too large" if plan["size"] > 140 else None, plan["size"] - 140)


FULL: dict[str, Any] = {
    "recipes": RECIPES,
    "initial_points": {"initial-small": {**INITIAL_POINTS["small"], "criterion": "taylor"}},
    "prunings": others,
    "space": with_criterion,
    "check_feasibility": limited,
    "job": {"seed": 1, "prunings_per_growth": 3},
}


def finished(folder: Path, count: int = 12, **changed: Any) -> dict[int, FrozenTrial]:
    """A run of `count` trials, some stopped, failed or with another criterion; the study's ended trials by number."""
    run = LoggedRun(folder, **{**FULL, **changed})
    for number in range(count):
        config = suggested(run.search, str(number))
        plan = config["plan"]
        other = {"criterion": "original"} if number % 3 else {}
        if number % 5 == 4:
            run.end(str(number), config, {**result(plan), "epoch": 1, **other})
        elif number % 7 == 6:
            run.end(str(number), config, {}, error=True)
        else:
            run.end(str(number), config, {**result(plan), **other})
    return by_number(folder)


def by_number(folder: Path) -> dict[int, FrozenTrial]:
    return {one.user_attrs["number"]: one for one in trials(folder) if "number" in one.user_attrs}


def facts(found: Mapping[int, FrozenTrial]) -> dict[int, Any]:
    """All that samplers and the searcher know of trials."""
    kept = {
        number: (
            one.state, one.values, one.params, one.distributions, one.user_attrs, one.constraints,
            one.system_attrs.get("NSGAIISampler:generation"),
        )
        for number, one in found.items()
    }  # fmt: skip
    # Samplers skip what failed, and a trial that failed is not asked again.
    return {number: fact if fact[0] != TrialState.FAIL else fact[:1] for number, fact in kept.items()}


def reopened(folder: Path, **changed: Any) -> PlanSearch:
    return LoggedRun(folder, **{**FULL, **changed}).search


def garble(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[len(lines) // 2] = b"\0" * len(lines[len(lines) // 2][:-1]) + b"\n"
    journal.write_bytes(b"".join(lines))


def cut(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])


def cut_to_one_line(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])


def empty(journal: Path) -> None:
    journal.write_bytes(b"")


def other_operation(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().replace(b'"op_code":4', b'"op_code":77', 3))


def other_parameter(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().replace(b'"params":{"x":', b'"params":{"x":7', 1))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spoil", [garble, cut, cut_to_one_line, empty, other_operation, other_parameter, Path.unlink])
def test_a_study_whose_journal_is_spoilt_is_made_of_the_log(
    spoil: Callable[[Path], Any], sampler: str, tmp_path: Path
) -> None:
    before = finished(tmp_path, sampler=sampler)
    spoil(tmp_path / "study.journal")
    search = reopened(tmp_path, sampler=sampler)
    assert facts(by_number(tmp_path)) == facts(before)
    plans = [record.plan for record in read(tmp_path / "trials.jsonl").values()]
    for number in range(20, 26):
        plan = suggested(search, str(number))["plan"]
        assert {**plan, "criterion": ""} not in [{**one, "criterion": ""} for one in plans]
        plans.append(plan)
    assert TrialState.RUNNING in [one.state for one in trials(tmp_path)]


@pytest.mark.parametrize("spoil", [garble, other_operation, other_parameter])
def test_a_journal_that_cannot_be_read_is_kept_and_the_user_told(
    spoil: Callable[[Path], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = tmp_path / "study.journal"
    finished(tmp_path)
    spoil(journal)
    before = journal.read_bytes()
    with caplog.at_level(logging.WARNING):
        search = reopened(tmp_path)
    assert (tmp_path / "study.journal.damaged-1").read_bytes() == before
    assert search.repaired is not None
    assert search.repaired in caplog.text
    for said in (str(journal), "study.journal.damaged-1", "A new study has 10 trials of the trial log"):
        assert said in search.repaired
    assert reopened(tmp_path).repaired is None


def test_a_sound_journal_stays_as_it_is(tmp_path: Path) -> None:
    finished(tmp_path)
    before = (tmp_path / "study.journal").read_bytes()
    assert reopened(tmp_path).repaired is None
    assert (tmp_path / "study.journal").read_bytes() == before


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_whose_journal_was_spoilt_goes_on_as_one_whose_was_not(sampler: str, tmp_path: Path) -> None:
    """Nothing was rejected and nothing interrupted, so the log has all that the journal had."""
    plain = {"recipes": RECIPES, "initial_points": INITIAL_POINTS, "sampler": sampler}
    folders = [tmp_path / name for name in ("sound", "spoilt")]
    plans = []
    for folder in folders:
        folder.mkdir()
        run = LoggedRun(folder, **plain)
        for number in range(9):
            run.carry_out(str(number))
        if folder.name == "spoilt":
            garble(folder / "study.journal")
        plans.append([LoggedRun(folder, **plain).carry_out("next") for _ in range(3)])
    assert plans[0] == plans[1]


def test_the_criterion_that_was_used_is_in_the_record(tmp_path: Path) -> None:
    run = LoggedRun(tmp_path, **FULL)
    configs = [suggested(run.search, str(number)) for number in range(4)]
    (other,) = {"original", "taylor"} - {configs[3]["plan"]["criterion"]}
    run.end("0", configs[0], result(configs[0]["plan"]))
    run.end("3", configs[3], {**result(configs[3]["plan"]), "criterion": other})
    found = read(tmp_path / "trials.jsonl")
    assert (found[0].parameters, found[0].attributes) == ({}, {})
    assert found[3].parameters == {**configs[3]["parameters"], "criterion": other}
    assert found[3].plan["criterion"] == other
    assert by_number(tmp_path)[3].params == found[3].parameters


def test_a_stopped_trial_has_the_criterion_that_it_used_in_the_study_as_well(tmp_path: Path) -> None:
    run = LoggedRun(tmp_path, **{**FULL, "recipes": {}, "initial_points": {}})
    config = suggested(run.search, "0")
    (other,) = {"original", "taylor"} - {config["plan"]["criterion"]}
    run.end("0", config, {**result(config["plan"]), "epoch": 1, "criterion": other})
    trial = by_number(tmp_path)[0]
    assert (trial.state, trial.params["criterion"]) == (TrialState.PRUNED, other)
    assert read(tmp_path / "trials.jsonl")[0].parameters == trial.params


def test_what_the_journal_has_not_and_the_log_has_is_added(tmp_path: Path) -> None:
    """The journal is not synced as the log is: after a power cut it may end earlier."""
    before = finished(tmp_path)
    lines = (tmp_path / "study.journal").read_bytes().splitlines(keepends=True)
    (tmp_path / "study.journal").write_bytes(b"".join(lines[:-6]))
    search = reopened(tmp_path)
    assert facts(by_number(tmp_path)) == facts(before)
    assert search.repaired is None


def test_what_the_journal_has_and_the_log_has_not_is_run_again_and_counts_once(tmp_path: Path) -> None:
    finished(tmp_path)
    log = tmp_path / "trials.jsonl"
    *lines, last = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines))
    number, plan = json.loads(last)["number"], json.loads(last)["plan"]
    search = reopened(tmp_path)
    assert by_number(tmp_path)[number].state == TrialState.FAIL
    again = suggested(search, "again")
    assert (again["number"], {**again["plan"], "criterion": ""}) == (number, {**plan, "criterion": ""})


def test_prunings_that_started_are_not_started_again_from_the_log(tmp_path: Path) -> None:
    plain = {"prunings": others, "sampler": "random"}
    run = LoggedRun(tmp_path, **plain)
    first = run.carry_out("0", eer=0.1)
    sibling = run.carry_out("1", eer=0.9, size=1000)
    (tmp_path / "study.journal").unlink()
    search = LoggedRun(tmp_path, **plain).search
    assert by_number(tmp_path)[1].user_attrs["pruning_of"] == 0
    rest = [suggested(search, name)["plan"] for name in "ab"]
    assert sibling["size"] == first["size"] - 1
    assert rest[0] == {**first, "size": first["size"] + 1}
    assert rest[1]["x"] != first["x"]


def test_a_log_without_parameters_still_says_which_plans_were_tried(tmp_path: Path) -> None:
    finished(tmp_path, sampler="random")
    log = tmp_path / "trials.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for row in rows:
        del row["parameters"], row["attributes"]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    garble(tmp_path / "study.journal")
    search = reopened(tmp_path, sampler="random")
    assert by_number(tmp_path) == {}
    tried = [{**row["plan"], "criterion": ""} for row in rows]
    configs = [suggested(search, str(number)) for number in range(3)]
    assert not [one for one in configs if {**one["plan"], "criterion": ""} in tried]
    assert [one["number"] for one in configs] == [12, 13, 14]
    assert [one["recipe"] for one in configs] == [None] * 3


def test_a_log_of_another_space_is_refused_by_name(tmp_path: Path) -> None:
    def other(trial: optuna.Trial) -> dict[str, Any]:
        return {**with_criterion(trial), "y": trial.suggest_float("y", 0.0, 1.0)}

    finished(tmp_path)
    (tmp_path / "study.journal").unlink()
    with pytest.raises(DropinError, match="trial 2 of this run was chosen from another space"):
        reopened(tmp_path, space=other)


@pytest.mark.parametrize("attributes", [{"asked": "many"}, {"pruning_of": -1}, {"system": 3}, {"system": {"a": "b"}}])
def test_a_log_that_cannot_be_is_refused_by_name(attributes: dict[str, Any], tmp_path: Path) -> None:
    finished(tmp_path, 4)
    log = tmp_path / "trials.jsonl"
    *rest, last = log.read_text().splitlines()
    log.write_text("".join(f"{line}\n" for line in [*rest, json.dumps({**json.loads(last), "attributes": attributes})]))
    (tmp_path / "study.journal").unlink()
    with pytest.raises(DropinError, match="trial 3 of this run must have whole numbers"):
        reopened(tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    finished(folder)
    return folder


@hypothesis_settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_in_the_journal_the_study_agrees_with_the_log(
    data: st.DataObject, sound: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    shutil.copytree(sound, folder, dirs_exist_ok=True)
    journal = folder / "study.journal"
    journal.write_bytes(data.draw(damaged(journal.read_bytes())))
    search = reopened(folder)
    found, records = by_number(folder), read(folder / "trials.jsonl")
    for number, record in records.items():
        if record.parameters:
            assert found[number].state.name == record.state
            assert record.state == "FAIL" or found[number].params == record.parameters
            assert record.state != "COMPLETE" or found[number].value == record.weighted_eer
    assert all(number in records for number, one in found.items() if one.state != TrialState.FAIL)
    assert suggested(search, "next")["number"] >= 0
