from __future__ import annotations

import errno
import io
import os
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from ray.tune import Checkpoint, PlacementGroupFactory
from rich.console import Console

from search.cluster import ray_compat
from search.display.metrics import STARTING, Gauges, Reading
from search.display.progress import Display
from search.running import tune_callback
from search.running.disk_space import DiskSpace
from search.running.tune_callback import StopConditions, TuneCallback
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.storage.bucket_sync import BucketSync
from storage import lay, tree
from trainables.storage.bucket_files import open_filesystem


def watcher(folder: Path) -> tuple[TuneCallback, TrialLog]:
    log = TrialLog(folder / "trials.jsonl")
    return TuneCallback(log, Display(Console(file=io.StringIO())), StopConditions(None)), log


def rows(folder: Path) -> int | None:
    """How many trials the table of all of them has; ``None`` where there is no table."""
    table = folder / "results.parquet"
    return len(pq.read_table(table)) if table.exists() else None


def test_tables_are_written_when_something_ended_but_not_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(tune_callback, "time", SimpleNamespace(monotonic=lambda: now))
    watching, log = watcher(tmp_path)
    watching.on_step_end(0, [])
    assert rows(tmp_path) is None  # nothing to write
    log.append(Record(0, "FAIL", None, {}))
    watching.on_step_end(1, [])
    assert rows(tmp_path) == 1
    log.append(Record(1, "FAIL", None, {}))
    watching.on_step_end(2, [])
    assert rows(tmp_path) == 1  # too soon
    now += tune_callback.PAUSE
    watching.on_step_end(3, [])
    assert rows(tmp_path) == 2


def test_tables_that_take_long_are_written_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = 100.0, []

    def write(folder: Path, records: Any) -> None:
        nonlocal now
        now += 1.0
        written.append(now)

    monkeypatch.setattr(tune_callback, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(tune_callback.results, "write_tables", write)
    watching, log = watcher(tmp_path)
    for number in range(200):
        log.append(Record(number, "FAIL", None, {}))
        watching.on_step_end(number, [])
        now += 1.0
    assert sum(1.0 for _ in written) <= 1 + tune_callback.SHARE * (now - 100.0)


def test_only_the_latest_state_of_a_trial_is_kept(tmp_path: Path) -> None:
    watching, _ = watcher(tmp_path)
    places = [tmp_path / name for name in ("checkpoint_0", "checkpoint_1")]
    for place in places:
        place.mkdir()
        (place / "state.json").write_text("{}")
    trial: Any = SimpleNamespace(checkpoint=None)
    watching.on_checkpoint(0, [], trial, Checkpoint(str(places[0])))
    assert all(place.exists() for place in places)
    trial.checkpoint = Checkpoint(str(places[0]))
    watching.on_checkpoint(1, [], trial, Checkpoint(str(places[1])))
    assert [place.exists() for place in places] == [False, True]


def test_gauges_are_told_of_trials_as_they_begin_report_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = []
    monkeypatch.setattr(Gauges, "publish", lambda gauges: published.append(gauges.readings()))
    log = TrialLog(tmp_path / "trials.jsonl")
    gauges = Gauges("one", "plasticity", "resnet18", log.standings, 100)
    watching = TuneCallback(log, Display(Console(file=io.StringIO())), StopConditions(None), gauges)
    config = {"number": 3, "recipe": None, "plan": {"epochs": 2}}
    trial: Any = SimpleNamespace(config=config, placement_group_factory=None, storage=None)
    watching.on_trial_start(0, [], trial)
    assert Reading("dropin_trials_running", 1, (("node", STARTING),)) in gauges.readings()
    result = {"epoch": 1, "epochs": 2, "eer": 0.2, "seconds_step": 0.5, "node_ip": "10.0.0.1"}
    watching.on_trial_result(0, [], trial, result)
    assert Reading("dropin_trials_running", 1, (("node", "10.0.0.1"),)) in gauges.readings()
    assert Reading("dropin_step_seconds", 0.5) in gauges.readings()
    watching.on_step_end(0, [])
    assert published == [gauges.readings()]
    ended = {**result, "epoch": 2, "best_eer": 0.2, "best_weighted_eer": 0.2, "size": 100, "cached_links": 1}
    monkeypatch.setattr(ray_compat, "clear_trial", lambda trial: None)
    trial.last_result = {**ended, "from_growth_cache": True}
    watching.on_trial_complete(0, [], trial)
    assert (log.records[3].cached_links, log.records[3].from_growth_cache) == (1, True)
    readings = gauges.readings()
    for reading in (
        Reading("dropin_trials_running", 0, (("node", "10.0.0.1"),)),
        Reading("dropin_trials", 1, (("state", "COMPLETE"),)),
        Reading("dropin_best_weighted_eer", 0.2),
        Reading("dropin_cache_hits", 1, (("cache", "growth"),)),
        Reading("dropin_cache_hits", 1, (("cache", "activations"),)),
    ):
        assert reading in readings


def test_a_record_says_when_the_trial_ended_and_on_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_compat, "clear_trial", lambda trial: None)
    watching, log = watcher(tmp_path)
    config: dict[str, Any] = {"recipe": None, "plan": {}}
    for place, asked in enumerate(
        (PlacementGroupFactory([{"CPU": 2, "GPU": 0.5}]), PlacementGroupFactory([{"CPU": 1}]))
    ):
        before = datetime.now(tz=timezone.utc).timestamp()
        given = {"config": {**config, "number": place}, "last_result": {}, "placement_group_factory": asked}
        trial: Any = SimpleNamespace(**given, error_file=None, storage=None)
        watching.on_trial_error(0, [], trial)
        ended = log.records[place].ended
        assert ended is not None
        assert before <= ended <= datetime.now(tz=timezone.utc).timestamp()
    assert [(one.cpus, one.gpus) for one in log.records.values()] == [(2, 0.5), (1, 0)]


@pytest.mark.parametrize("resumed", [False, True])
def test_only_detectors_of_the_front_and_of_recipes_are_kept(resumed: bool, tmp_path: Path) -> None:
    watching, log = watcher(tmp_path)
    ended = [
        Record(0, "COMPLETE", "paper", {}, eer=0.3, size=100),
        Record(1, "COMPLETE", "initial-half", {}, eer=0.2, size=100),  # beats the recipe, which stays
        Record(2, "COMPLETE", None, {}, eer=0.25, size=100),  # beaten at once
        Record(3, "PRUNED", None, {}, eer=0.01, size=1),  # no detector, and no measure for others
        Record(4, "COMPLETE", None, {}, eer=0.1, size=300),
        Record(5, "COMPLETE", None, {}, eer=0.1, size=100),  # beats 1 and 4
        Record(6, "COMPLETE", None, {}, eer=0.1, size=100),  # no better
        Record(7, "COMPLETE", None, {}, eer=0.4, size=50),
    ]
    for record in ended:
        if record.state == "COMPLETE":
            (tmp_path / "detectors" / str(record.number)).mkdir(parents=True)
        beaten = log.append(record)
        if resumed and record.number == 4:
            watching, log = watcher(tmp_path)
        else:
            watching._keep_detectors(record, beaten)
    left = sorted(int(folder.name) for folder in (tmp_path / "detectors").iterdir())
    assert left == [0, 5, 7]


def test_where_workers_write_into_the_copy_detectors_are_fetched_and_removed_there(tmp_path: Path) -> None:
    uri = (tmp_path / "shared" / "one").as_uri()
    folder = tmp_path / "one"
    folder.mkdir()
    log = TrialLog(folder / "trials.jsonl")
    copy = BucketSync(folder, uri)
    watching = TuneCallback(log, Display(Console(file=io.StringIO())), StopConditions(None), elsewhere=copy)
    ended = [
        Record(0, "COMPLETE", "paper", {}, eer=0.3, size=100),
        Record(1, "COMPLETE", None, {}, eer=0.2, size=100),
        Record(2, "COMPLETE", None, {}, eer=0.25, size=100),
        Record(3, "COMPLETE", None, {}, eer=0.1, size=100),
    ]
    for record in ended:
        lay(tmp_path / "shared" / "one" / "detectors" / str(record.number), {"card": b"{}"})
        watching._keep_detectors(record, log.append(record))
    assert copy.flush()
    names = {"detectors/0/card", "detectors/3/card", "trials.jsonl"}
    assert set(tree(folder)) == set(tree(tmp_path / "shared" / "one")) == names


def test_a_state_in_a_storage_is_removed_there(tmp_path: Path) -> None:
    lay(tmp_path / "shared" / "tune" / "0", {"state.json": b"{}"})
    copy = BucketSync(tmp_path / "one", (tmp_path / "shared" / "one").as_uri())
    watching = TuneCallback(
        TrialLog(tmp_path / "trials.jsonl"), Display(Console(file=io.StringIO())), StopConditions(None), elsewhere=copy
    )
    filesystem, path = open_filesystem((tmp_path / "shared" / "tune" / "0").as_uri())
    trial: Any = SimpleNamespace(checkpoint=Checkpoint(path, filesystem))
    watching.on_checkpoint(0, [], trial, Checkpoint(path))
    assert copy.flush()
    assert tree(tmp_path / "shared") == {}


def test_what_tune_gives_up_too_early_is_rescheduled_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_compat, "clear_trial", lambda trial: None)
    rescheduled: list[int] = []
    log = TrialLog(tmp_path / "trials.jsonl")
    watching = TuneCallback(
        log, Display(Console(file=io.StringIO())), StopConditions(None), reschedule=rescheduled.append
    )

    def lost(number: int, may_recover: bool) -> Any:
        given: dict[str, Any] = dict.fromkeys(("placement_group_factory", "error_file", "storage"))
        given |= {"config": {"number": number, "recipe": None, "plan": {}}, "last_result": {}}
        return SimpleNamespace(**given, should_recover=lambda: may_recover, max_failures=2)

    watching.on_trial_error(0, [], lost(0, may_recover=False))  # Tune has retried it before
    assert ([*log.records], rescheduled) == ([0], [])
    for _ in range(2):
        watching.on_trial_error(0, [], lost(1, may_recover=True))
    assert ([*log.records], rescheduled) == ([0], [1, 1])
    watching.on_trial_error(0, [], lost(1, may_recover=True))
    assert ([*log.records], rescheduled) == ([0, 1], [1, 1])
    assert log.records[1].state == "FAIL"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_trial_that_could_not_write_is_carried_out_again_when_there_is_room(
    code: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failed trial: a recipe that had failed for want of room would be missing for good."""
    monkeypatch.setattr(ray_compat, "clear_trial", lambda trial: None)
    shown, again, log = io.StringIO(), list[int](), TrialLog(settings.paths.trials)
    display = Display(Console(file=shown, width=1000))
    space = DiskSpace(settings, display, (log.file,))
    watching = TuneCallback(log, display, StopConditions(None), reschedule=again.append, space=space)
    report = settings.run_folder / "error.txt"
    report.write_text(f"Traceback (most recent call last):\nOSError: [Errno {code}] {os.strerror(code)}: 'weights'\n")
    trial: Any = SimpleNamespace(
        config={"number": 0, "recipe": "control"}, error_file=str(report), storage=None, placement_group_factory=None
    )
    for _ in range(9):
        watching.on_trial_error(0, [], trial)
    assert again == [0] * 9
    assert not log.records
    assert not space.has_room()
    assert shown.getvalue().count(os.strerror(code)) == 1, "it is said once"
