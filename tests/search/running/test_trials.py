"""Trials carried out by workers: what fails, is lost, is resumed and is kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.trial import TrialState
from ray.tune.experiment import Trial

import pretended
from carrying_out import FAILING, PLAIN, carry_out, states
from search.cluster.ray_cluster import Cluster
from search.running import trials
from search.running.tune_callback import TuneCallback
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.storage.bucket_sync import BucketSync
from search.tuning.feasibility import Feasibility
from storage import lay, tree


def test_trials_that_raise_diverge_or_die_fail_and_the_run_goes_on(settings: Settings, workers: Cluster) -> None:
    records = carry_out(settings, workers, recipes={"plain": PLAIN, **FAILING})
    assert {number: record.state for number, record in records.items() if number < 4} == {
        0: "COMPLETE",
        1: "FAIL",
        2: "FAIL",
        3: "FAIL",
    }
    assert len(records) == 6
    assert records[1].error == "RuntimeError: the loss is no number"
    assert "finite" in (records[2].error or "")
    assert "died" in (records[3].error or "")
    assert records[0].eer == pytest.approx(0.09)
    assert records[0].total_widths == {"site": 4}
    assert states(settings) == [TrialState.COMPLETE] * 2
    assert len(pq.read_table(settings.run_folder / "results.parquet")) == 6
    assert len(pq.read_table(settings.run_folder / "front.parquet")) >= 1
    assert not settings.paths.tune.exists()


def test_a_trial_whose_worker_is_lost_while_it_takes_it_over_is_rescheduled(
    settings: Settings, workers: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    traces = [tmp_path / name for name in ("recipe", "first", "later")]

    def lost(trial: optuna.Trial) -> dict[str, Any]:
        """The sampler's first trial, and a later one."""
        which = {0: traces[1], 4: traces[2]}.get(trial.number)
        return {**pretended.space(trial), **({"lost": str(which)} if which is not None else {})}

    recipes = {"plain": PLAIN, "lost": {**PLAIN, "x": 0.25, "lost": str(traces[0])}}
    records = carry_out(settings, replace(workers, concurrent=1), recipes=recipes, space=lost)
    assert all(trace.exists() for trace in traces)
    assert caplog.text.count("worker lost; rescheduling (retry 1 of 2)") == 3
    assert sorted(records) == list(range(6))
    assert not [record.error for record in records.values() if record.state == "FAIL"]
    assert records[1].plan == recipes["lost"]
    assert TrialState.RUNNING not in states(settings)


def test_a_trial_whose_worker_is_lost_when_all_were_suggested_is_rescheduled(
    settings: Settings, workers: Cluster, tmp_path: Path
) -> None:
    recipes = {"plain": PLAIN, "other": {**PLAIN, "x": 0.4}, "lost": {**PLAIN, "x": 0.25, "lost": str(tmp_path / "x")}}
    records = carry_out(replace(settings, trials=3), workers, recipes=recipes)
    assert (tmp_path / "x").exists()
    assert {number: record.state for number, record in records.items()} == dict.fromkeys(range(3), "COMPLETE")


def test_a_trial_whose_worker_is_lost_when_no_more_are_asked_for_is_rescheduled(
    settings: Settings, workers: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = tmp_path / "asked"

    def chosen(trial: optuna.Trial) -> dict[str, Any]:
        return {**pretended.space(trial), "chosen": True}

    def reject(plan: dict[str, Any]) -> Feasibility:
        if "chosen" not in plan:
            return Feasibility()
        asked.touch()  # nothing that happens to a trial is heard of before the searcher is exhausted
        return Feasibility("it is too much")

    lost = {**PLAIN, "x": 0.25, "lost": str(tmp_path / "x"), "awaits": str(asked)}
    recipes = {"plain": PLAIN, "other": {**PLAIN, "x": 0.4}, "lost": lost}
    records = carry_out(settings, workers, recipes=recipes, space=chosen, check_feasibility=reject)
    assert caplog.text.count("worker lost; rescheduling (retry 1 of 2)") == 1
    assert {number: record.state for number, record in records.items()} == dict.fromkeys(range(3), "COMPLETE")
    assert records[2].plan == lost


def test_one_worker_and_one_seed_give_one_front(settings: Settings, workers: Cluster) -> None:
    alone = replace(workers, cpus=2, concurrent=1)
    runs = []
    for name in ("one", "two"):
        again = replace(settings, name=name)
        again.run_folder.mkdir(exist_ok=True)
        records = carry_out(again, alone)
        runs.append([(r.number, r.plan, r.eer, r.size) for r in records.values()])
    assert len(runs[0]) == 6
    assert runs[0] == runs[1]


def test_a_resumed_run_keeps_what_ended_and_does_the_rest(settings: Settings, workers: Cluster) -> None:
    alone = replace(workers, concurrent=1)
    first = carry_out(replace(settings, trials=3), alone, recipes={"plain": PLAIN})
    both = carry_out(settings, alone, recipes={"plain": PLAIN})
    assert list(both)[:3] == list(first)
    assert all(both[number] == record for number, record in first.items())
    assert sorted(both) == [0, 1, 2, 3, 4, 5]
    assert carry_out(settings, alone, recipes={"plain": PLAIN}) == both  # nothing is left to do


def test_detectors_that_a_killed_search_left_in_the_copy_are_fetched(tmp_path: Path) -> None:
    uri = (tmp_path / "shared" / "one").as_uri()
    log = TrialLog(tmp_path / "one" / "trials.jsonl")
    log.path.parent.mkdir()
    for record in (
        Record(0, "COMPLETE", "paper", {}, eer=0.3, size=100),
        Record(1, "COMPLETE", None, {}, eer=0.2, size=100),
        Record(2, "COMPLETE", None, {}, eer=0.25, size=100),
        Record(3, "PRUNED", "control", {}, eer=0.1, size=10),
    ):
        log.append(record)
        lay(tmp_path / "shared" / "one" / "detectors" / str(record.number), {"card": b"{}"})
    trials.fetch_detectors(BucketSync(tmp_path / "one", uri), log)
    assert set(tree(tmp_path / "one")) == {"trials.jsonl", "detectors/0/card", "detectors/1/card"}


def test_on_a_cluster_a_trial_whose_worker_is_lost_goes_on_elsewhere(settings: Settings, workers: Cluster) -> None:
    trace = settings.run_folder / "trace"
    plan = {**PLAIN, "epochs": 3, "trace": str(trace)}
    records = carry_out(replace(settings, trials=1, address="auto"), workers, recipes={"lost": plan})
    assert trace.read_text() == "1 2 2 3 "  # from the state after the first epoch
    assert (records[0].state, records[0].epochs) == ("COMPLETE", 3)
    assert sorted(path.name for path in settings.run_folder.iterdir()) == [
        *("front.parquet", "results.parquet", "rungs.jsonl", "study.journal", "trace", "trials.jsonl")
    ]


def test_nothing_is_kept_of_ended_trials(settings: Settings, workers: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[int, Trial] = {}
    files = []

    class Looking(TuneCallback):
        def on_step_end(self, iteration: int, trials: Sequence[Trial], **info: Any) -> None:
            kept.update({id(trial): trial for trial in trials})
            if (settings.run_folder / "results.parquet").exists():
                files.append({path for path in settings.run_folder.rglob("*") if path.is_file()})
            super().on_step_end(iteration, trials, **info)

    monkeypatch.setattr("search.running.trials.TuneCallback", Looking)
    carry_out(replace(settings, trials=4), workers, recipes={"plain": PLAIN, "raise": FAILING["raise"]})
    assert len(kept) == 4
    assert {str(trial) for trial in kept.values()} == {f"trial-{number}" for number in range(4)}
    for trial in kept.values():
        assert not trial.config
        assert not trial.evaluated_params
        assert "best_eer" not in trial.run_metadata.last_result
        assert not Path(trial.local_path or "nowhere").exists()
    assert len(files) > 3
    assert all(found == files[0] for found in files)  # no trial adds any


def test_a_disk_that_is_full_for_a_while_costs_no_trial(
    settings: Settings, workers: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.running.disk_space.PAUSE", 0.1)
    full = tmp_path / "full"
    full.write_text("4")  # more often than Tune retries a trial
    plan = {**PLAIN, "full": str(full)}
    records = carry_out(replace(settings, trials=3), workers, recipes={"full": plan})
    assert full.read_text() == "0"
    assert sorted(records) == [0, 1, 2]
    assert {record.state for record in records.values()} <= {"COMPLETE", "PRUNED"}
    assert records[0].recipe == "full"
    assert TrialState.RUNNING not in states(settings)


def test_trials_ask_for_their_resources_under_their_own_name(workers: Cluster) -> None:
    asking = trials.with_resources(pretended.Pretended, replace(workers, cpus=3, gpus=0.5))
    assert asking.__name__ == "Pretended"
    request = asking.default_resource_request({})
    assert request is not None
    assert request.required_resources == {"CPU": 3, "GPU": 0.5}


def suggested(settings: Settings, log: TrialLog, count: int) -> list[dict[str, Any]]:
    """What the first trials of a search of the real space are given."""
    searcher = trials.make_searcher(settings, {}, log)
    given = [searcher.suggest(str(number)) for number in range(count)]
    return [one for one in given if one is not None]


def test_trials_are_given_names_that_say_what_they_do(settings: Settings) -> None:
    assert [one["name"] for one in suggested(settings, TrialLog(settings.run_folder / "trials.jsonl"), 3)] == [
        *("plasticity-0-paper", "plasticity-1-control", "plasticity-2-initial-slim")
    ]


def test_plans_that_are_asked_for_by_name_are_all_tried(settings: Settings) -> None:
    """Also where a detector that makes no error has ended that is smaller than all others will be."""
    log = TrialLog(settings.run_folder / "trials.jsonl")
    plans = {one["recipe"]: one["plan"] for one in suggested(settings, log, 3)}
    log.append(Record(0, "COMPLETE", next(iter(plans)), {}, eer=0.0, size=1, weighted_eer=0.0))
    searcher = trials.make_searcher(settings, {}, log, plans=plans)
    assert searcher.skipped_recipes == {}
    searcher.max_trials = 2
    rest = [searcher.suggest(name) for name in "ab"]
    assert [one and one["plan"] for one in rest] == [*plans.values()][1:]
    assert searcher.suggest("c") is None


@pytest.mark.parametrize(("number", "startup"), [(None, 10), (4, 2), (24, 6), (400, 10)])
def test_a_quarter_of_the_trials_is_drawn_at_random(number: int | None, startup: int) -> None:
    assert trials.startup_trials(number) == startup
