from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

import finished_run
from project_file import ROOT
from search.cluster.ray_cluster import Cluster
from search.display.metrics import Gauges, Reading
from search.display.progress import make_display
from search.running import confirm_front
from search.running.confirmation import candidates, without_growth
from search.running.confirmation_table import Row, read, table, write
from search.runs import trial_log
from search.runs.members import StoredRun
from search.runs.trial_log import TrialLog
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trainables.trial.plan import Plan


class Confirmed(NamedTuple):
    """A confirmation that was carried out."""

    folder: Path
    cluster: Cluster
    rows: list[Row]
    published: dict[str, list[Reading]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run.make(tmp_path_factory.mktemp("finished"))


def test_members_are_trained_anew_and_controls_beside_what_the_search_chose(finished: Path) -> None:
    run = StoredRun.open(finished)
    assert {one.name: one.what for one in candidates(run, controls=False)} == {"0": "front", "1": "front"}
    found = {one.name: one for one in candidates(run, controls=True)}
    # Member 0 is an point, member 1 was chosen; paper and control are beaten.
    assert set(found) == {
        *("0", "1", "paper", "control"),
        *(f"{number}-{what}" for number in (0, 1) for what in ("no-growth", "static", "lora")),
    }
    assert all((one.plan is None) != (one.train is None) for one in found.values())


def test_a_plan_without_growth_keeps_its_epochs_rates_and_restarts(finished: Path) -> None:
    run = StoredRun.open(finished)
    arch = Architecture.create(run.settings.model, run.settings.model_option)
    for record in run.records[:4]:
        before = Plan.from_config(record.plan, arch)
        after = Plan.from_config(without_growth(record.plan, arch), arch)
        assert after.final == arch
        assert after.epochs == before.epochs
        assert after.learning_rates() == before.learning_rates()
        fresh = [
            {start for start, stage in zip(plan.starts, plan.stages, strict=True) if stage.fresh_optimizer}
            for plan in (before, after)
        ]
        assert fresh[0] | {0} == fresh[1]


def test_rows_are_medians_and_ranges_in_percent(tmp_path: Path) -> None:
    row = Row("0", "front", "trial-3-abc", 1234, dev={1: 0.1, 2: 0.3, 4: 0.2})  # seed 3 failed
    assert row.cells() == ["0 (front)", "1,234", "20.00 % (10.00 to 30.00)", "-", "3"]
    adapters = Row("0-lora", "LoRA", "trial-3-abc-lora", 1234, 500, 4, dev={1: 0.1})
    assert adapters.cells()[0] == "0-lora (LoRA, rank 4, 500 trained)"
    with write(tmp_path / "table.csv", [row, adapters]).open() as file:
        lines = list(csv.DictReader(file))
    assert [(one["seed"], one["eer_dev"]) for one in lines] == [("1", "0.1"), ("2", "0.3"), ("4", "0.2"), ("1", "0.1")]
    assert (lines[3]["lora_rank"], lines[3]["trained_parameters"]) == ("4", "500")
    assert read(tmp_path / "table.csv").to_pylist() == table([row, adapters]).to_pylist()


def test_the_command_confirms_a_front_with_its_controls_and_goes_on_where_it_was(finished: Path) -> None:
    """Small detectors on simulated speech; the second call finds everything done."""
    # One worker at a time: each starts for seconds, and what it is asked for takes less.
    finished_run.rewrite_settings(finished, base_epochs=2, cpus_per_trial=os.cpu_count())
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "search.confirm", str(finished), "--seeds", "1", "--controls"]
    outputs = []
    for _ in range(2):
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs.append(done.stdout)
    assert "0 (front)" in outputs[0]
    assert "ended," not in outputs[1], "no trial is carried out again"
    seed = finished / "confirm" / "seed-1"
    keys = {one.name: one.key for one in candidates(StoredRun.open(finished), controls=True)}
    card = load_detector(seed / "detectors" / keys["0-static"]).card
    assert (card["epochs"], card["seed"]) == (8, 1)
    replayed = load_detector(seed / "detectors" / keys["1-static"]).arch
    logged = [json.loads(line) for line in (seed / "trials.jsonl").read_text().splitlines()]
    (member,) = [record for record in logged if record["recipe"] == keys["1"]]
    assert replayed.size() == member["size"]
    with (finished / "confirm" / "confirm.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["detector"] for row in rows} >= {"0", "1", "paper", "control", "0-static", "1-no-growth", "base"}
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("eer_dev", "eer_eval"))


@pytest.fixture(scope="module")
def confirmed(workers: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Confirmed:
    """A run whose front was confirmed with two seeds, what came of it, and what was published meanwhile."""
    published: dict[str, list[Reading]] = {}
    finished, alone = finished_run.make(tmp_path_factory.mktemp("confirmed")), replace(workers, concurrent=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gauges, "publish", lambda one: published.update({one._common["run"]: one.readings()}))
        run = StoredRun.open(finished)
        rows = confirm_front.confirm(run, 2, lambda: alone, make_display(quiet=True), controls=False)
    return Confirmed(finished, alone, rows, published)


def test_every_seed_publishes_as_a_run_of_its_own(confirmed: Confirmed) -> None:
    assert [list(row.dev) for row in confirmed.rows] == [[1, 2]] * 3
    assert list(confirmed.published) == [f"{confirmed.folder.name}/confirm/seed-{seed}" for seed in (1, 2)]
    for readings in confirmed.published.values():
        assert Reading("dropin_trials", 2, (("state", "COMPLETE"),)) in readings, "both members of the front"
        assert {one.value for one in readings if one.name == "dropin_trials_running"} == {0}


def test_a_front_that_has_changed_is_confirmed_by_plan_and_seed(confirmed: Confirmed) -> None:
    """What was member 0 is member 1 after the run went on: its results stay its own, and nothing is trained twice."""
    before = {row.key: row for row in confirmed.rows}
    log = TrialLog(confirmed.folder / "trials.jsonl")
    smallest = min((one for one in log.records.values() if one.state == "COMPLETE"), key=lambda one: one.size or 0)
    plan = {**smallest.plan, "final": dict.fromkeys(smallest.plan["final"], 4)}
    log.append(replace(smallest, number=9, recipe=None, plan=plan, size=1, eer=0.4))
    run = StoredRun.open(confirmed.folder)
    rows = confirm_front.confirm(run, 1, lambda: confirmed.cluster, make_display(quiet=True), controls=False)
    assert [row.name for row in rows] == ["0", "1", "2", "base"]
    assert rows[0].key.startswith("trial-9-")
    assert rows[0].key not in before
    for row in rows[1:]:
        known = before[row.key]
        assert (row.dev[1], row.eval[1], row.size) == (known.dev[1], known.eval[1], known.size)
    logged = trial_log.read(run.paths.confirmation / "seed-1" / "trials.jsonl")
    assert [record.recipe for record in logged.values()] == [rows[1].key, rows[2].key, rows[0].key]
    arch = Architecture.create(run.settings.model, run.settings.model_option)
    assert rows[0].size == Plan.from_config(plan, arch).final.size()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "search.confirm", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "has no settings.json" in done.stderr


def test_what_this_machine_cannot_train_is_refused_before_any_work(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpus = StoredRun.open(finished).settings.cpus_per_trial
    finished_run.rewrite_settings(finished, cpus_per_trial=99999)
    monkeypatch.setattr("search.cluster.ray_cluster.ray_session", lambda *asked, **named: pytest.fail("Ray starts"))
    with pytest.raises(DropinError, match="requests 99999 CPU"):
        confirm_front.confirm_run(StoredRun.open(finished), 1, make_display(quiet=True), controls=False)
    finished_run.rewrite_settings(finished, cpus_per_trial=cpus)
