from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from rich.console import Console

import pretended
from search import run, trial_log, trials
from search.assessment import Assessment, assess
from search.cluster import Cluster
from search.mirror import Mirror
from search.progress import Display
from search.sampler import PlanSearch
from search.settings import Settings
from search.trial_log import Record, TrialLog
from search.watch import Limits, Watcher
from spaces import shared
from storage import lay, tree
from trainables.models.architecture import Architecture

PLAIN = {"x": 0.5, "size": 100, "epochs": 2}
FAILING = {name: {**PLAIN, "fails": name} for name in ("raise", "nan", "die")}


def carry_out(settings: Settings, workers: Cluster, **changed: Any) -> dict[int, Record]:
    """Run trials and give what the log then holds."""
    log = TrialLog(settings.run_folder / "trials.jsonl")
    options: dict[str, Any] = {
        "recipes": {},
        "anchors": {},
        "assess": lambda plan: Assessment(),
        "sampler": "tpe",
        "seed": 0,
    }
    search = PlanSearch(
        changed.pop("space", pretended.space),
        job={},
        journal=settings.run_folder / "study.journal",
        ended=log.records,
        startup=2,
        **{**options, **changed},
    )
    display = Display(Console(file=io.StringIO()))
    trials.run_trials(pretended.Pretended, search, log, settings, workers, display)
    trials.finish(settings, log, display)
    return trial_log.read(log.path)


def states(settings: Settings) -> list[TrialState]:
    storage = JournalStorage(JournalFileBackend(str(settings.run_folder / "study.journal")))
    return [trial.state for trial in optuna.load_study(study_name="search", storage=storage).trials]


def slow(trial: optuna.Trial) -> dict[str, Any]:
    return {**pretended.space(trial), "seconds": 30.0}


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
    assert not (settings.run_folder / trials.TUNE_FOLDER).exists()


def test_a_trial_that_is_lost_while_a_worker_takes_it_over_is_handed_out_anew(
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
    assert caplog.text.count("handed out anew") == 3
    assert sorted(records) == list(range(6))
    assert not [record.error for record in records.values() if record.state == "FAIL"]
    assert records[1].plan == recipes["lost"]
    assert TrialState.RUNNING not in states(settings)


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
    first = carry_out(replace(settings, trials=3), workers, recipes={"plain": PLAIN})
    both = carry_out(settings, workers, recipes={"plain": PLAIN})
    assert list(both)[:3] == list(first)
    assert all(both[number] == record for number, record in first.items())
    assert sorted(both) == [0, 1, 2, 3, 4, 5]
    assert carry_out(settings, workers, recipes={"plain": PLAIN}) == both  # nothing is left to do


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
    trials.fetch_detectors(Mirror(tmp_path / "one", uri), log)
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

    class Looking(Watcher):
        def on_step_end(self, iteration: int, trials: Sequence[Trial], **info: Any) -> None:
            kept.update({id(trial): trial for trial in trials})
            if (settings.run_folder / "results.parquet").exists():
                files.append({path for path in settings.run_folder.rglob("*") if path.is_file()})
            super().on_step_end(iteration, trials, **info)

    monkeypatch.setattr("search.trials.Watcher", Looking)
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


def test_a_full_disk_ends_the_run_and_costs_only_what_was_under_way(
    settings: Settings, workers: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = TrialLog.append

    def full(log: TrialLog, record: Record) -> None:
        if len(log.records) == 2:
            with log.path.open("ab") as file:
                file.write(b'{"number": 2, "sta')  # so much fitted
            raise OSError(errno.ENOSPC, "No space left on device")
        append(log, record)

    wanted = replace(settings, trials=4)
    with monkeypatch.context() as patched:
        patched.setattr(TrialLog, "append", full)
        with pytest.raises(Exception, match="No space left on device"):
            carry_out(wanted, workers, recipes={"plain": PLAIN})
    before = trial_log.read(settings.run_folder / "trials.jsonl")
    assert len(before) == 2
    after = carry_out(wanted, workers, recipes={"plain": PLAIN})
    assert sorted(after) == [0, 1, 2, 3]
    assert {number: after[number] for number in before} == before
    assert TrialState.RUNNING not in states(settings)


def test_when_time_is_over_trials_stop_and_are_run_again_by_a_resumed_run(
    settings: Settings, workers: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Over(Limits):
        def stop_all(self) -> bool:
            return (settings.run_folder / "trials.jsonl").exists()

    with monkeypatch.context() as patched:
        patched.setattr("search.trials.Limits", Over)
        records = carry_out(replace(settings, trials=None), workers, recipes={"plain": PLAIN}, space=slow)
    assert list(records) == [0]
    assert TrialState.COMPLETE not in states(settings)
    assert len(pq.read_table(settings.run_folder / "front.parquet")) == 1
    more = carry_out(replace(settings, trials=3), workers, recipes={"plain": PLAIN})
    assert sorted(more) == [0, 1, 2]
    assert TrialState.RUNNING not in states(settings)


def test_limits_are_time_and_whoever_asks() -> None:
    limits = Limits(minutes=1)
    assert 59 < limits.deadline - time.monotonic() <= 60
    assert not limits.stop_all()
    limits.deadline = time.monotonic() - 1
    assert limits.stop_all()
    asked = Limits(None)
    asked.asked = True
    assert asked.stop_all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_for_the_end_and_the_second_is_an_interrupt(number: signal.Signals) -> None:
    limits, before = Limits(None), signal.getsignal(number)
    left = threading.Event()
    with trials.ending_on_signal(limits, left.set):
        os.kill(os.getpid(), number)
        assert limits.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
    assert not left.is_set()


def test_an_end_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.trials.GRACE", 0.01)
    left = threading.Event()
    with trials.ending_on_signal(Limits(None), left.set):
        os.kill(os.getpid(), signal.SIGTERM)
        assert left.wait(60)


def test_ctrl_c_ends_the_run_with_a_front_and_without_a_traceback(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, str(Path(__file__).with_name("run_pretended.py")), str(tmp_path), "30", "9"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("trial 0 (quick)"):
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes, Ray's among them
        output = "".join(lines)
        assert process.wait() == 0, output
    finally:
        killer.cancel()
    assert "Traceback" not in output
    assert "asked to end: trials under way are stopped" in output
    assert "search.export" in output
    assert pq.read_table(tmp_path / "one" / "front.parquet")["recipe"].to_pylist() == ["quick"]


def test_trials_ask_for_their_resources_under_their_own_name(workers: Cluster) -> None:
    asking = trials.with_resources(pretended.Pretended, replace(workers, cpus=3, gpus=0.5))
    assert asking.__name__ == "Pretended"
    request = asking.default_resource_request({})
    assert request is not None
    assert request.required_resources == {"CPU": 3, "GPU": 0.5}


def test_trials_are_given_names_that_say_what_they_do(settings: Settings) -> None:
    searcher = trials.make_searcher(settings, {}, TrialLog(settings.run_folder / "trials.jsonl"))
    given = [searcher.suggest(str(number)) for number in range(3)]
    assert [one and one["name"] for one in given] == [
        *("plasticity-0-paper", "plasticity-1-control", "plasticity-2-anchor-lower-half")
    ]


def test_plans_are_refused_by_rule_and_by_size() -> None:
    arch = Architecture.create("resnet18", {"width": 4})
    plan = {
        **{"space": "plasticity", "epochs": 3, "grow": {}, "rule": "random", "grow_epoch": 1, "grow_steps": 1},
        **{"train": "all", "prune_epoch": 3, "prune_steps": 1, "final": {}, "criterion": "original"},
        **{"after": "finetune", "moments": "reset", "optimizer": "adam", "lr": 0.001, "recover_lr": 0.001},
        **{"schedule": "constant", "weight_decay": 0.0, "clip": 0.0, "batch_size": 8},
    }
    size = arch.size()
    assert assess(plan, arch=arch) == Assessment()
    assert assess(plan, arch=arch, max_parameters=size) == Assessment(None, 0)
    over = assess(plan, arch=arch, max_parameters=size - 1)
    assert over.over == 1
    assert f"--max-parameters allows {size - 1:,}" in (over.refused or "")
    assert "grow_epoch" in (assess({**plan, "grow_epoch": 7}, arch=arch).refused or "")


@pytest.mark.parametrize(("eer", "more", "hopeless"), [(0.0, 0, True), (0.0, 1, False), (0.01, 0, False)])
def test_a_plan_that_can_be_better_in_neither_is_refused(eer: float, more: int, hopeless: bool) -> None:
    """Its size is known before it runs; a trial without errors that is no larger cannot be beaten."""
    arch = Architecture.create("resnet18", {"width": 4})
    plan = shared.unchanged("plasticity", shared.Budget(3, 0.001, 8, "adam", 0.0, 0.0))
    ended = {7: Record(7, "COMPLETE", None, plan, eer=eer, size=arch.size() + more)}
    found = assess(plan, arch=arch, ended=ended)
    assert (found.refused is not None) == hopeless
    assert not hopeless or "trial 7 has no error" in str(found.refused)
    stopped = {7: replace(ended[7], state="PRUNED")}
    assert assess(plan, arch=arch, ended=stopped).refused is None


@pytest.mark.parametrize(("number", "startup"), [(None, 10), (4, 2), (24, 6), (400, 10)])
def test_a_quarter_of_the_trials_is_drawn_at_random(number: int | None, startup: int) -> None:
    assert trials.startup_trials(number) == startup


def test_ray_is_told_of_the_monitor_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    @contextmanager
    def starting(address: str | None, **asked: Any) -> Iterator[None]:
        told.append("Ray starts")
        yield
        told.append("Ray ends")

    monkeypatch.setattr("search.cluster.prepare", lambda address: None)
    monkeypatch.setattr("search.cluster.starting", starting)
    monkeypatch.setattr("search.monitor.Monitor.tell_ray", lambda monitor: told.append(monitor.folder))
    monkeypatch.setattr("search.monitor.Monitor.__exit__", lambda monitor, *error: told.append("monitor ends"))

    def carry_on(settings: Settings, place: object, monitor: object, copy: object) -> int:
        told.append(monitor is not None)
        return 0

    monkeypatch.setattr(run, "_run", carry_on)
    options = ["--storage", str(tmp_path), "--name", "one", "--cache", str(tmp_path)]
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run.main([*options, "--monitor"]) == 0
        assert run.main(options) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    monitored = [tmp_path / "one" / "monitor", "Ray starts", True, "monitor ends", "Ray ends"]
    assert told == [*monitored, "Ray starts", False, "Ray ends"]


def test_mixed_up_packages_end_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> Path:
        raise ValueError("spaces is elsewhere")

    monkeypatch.setattr("search.cluster.check_origin", refuse)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run.main([]) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "spaces is elsewhere" in capsys.readouterr().err
