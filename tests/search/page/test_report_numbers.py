from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.page import attacks, comparison, costs, history, importance, numbers, widths
from search.page.front import label_positions
from search.page.report_data import Base, Export, ReportData
from search.running import confirmation_table
from search.runs import pareto
from search.runs.front import front_of
from search.runs.members import StoredRun
from search.runs.record import Record
from search.settings.options import Settings
from search.tuning.study import NAME


def record(number: int, eer: float | None = None, size: int | None = None, **more: Any) -> Record:
    return Record(number, **{"state": "COMPLETE", "recipe": None, "plan": {}, "eer": eer, "size": size, **more})


def report_data(settings: Settings, records: Sequence[Record], *, eer: float | None = 0.2, **more: Any) -> ReportData:
    corpus = {
        "name": "one",
        "digest": "0",
        "splits": {"dev": {"attacks": ["A01", "A02"]}, "eval": {"attacks": ["A07"]}},
    }
    run = StoredRun(settings.run_folder, settings, corpus, tuple(records))
    return ReportData(run, Base(50, {"one": 8}, eer), tuple(front_of(records)), **more)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0312, "0.031 s"), (59.94, "59.9 s"), (90, "1.5 min"), (5400, "1.5 h"), (7.2e6, "2,000.0 h")],
)
def test_units_of_durations(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_unknown_numbers_are_a_dash() -> None:
    unknown = (numbers.percent(None), numbers.interval(0.1, None), numbers.count(None), numbers.duration(None))
    assert unknown == ("-",) * 4
    assert (numbers.percent(0.0429), numbers.interval(0.01, 0.0768)) == ("4.29 %", "1.00 to 7.68 %")
    assert (numbers.count(1234567), numbers.share(5, 80), numbers.share(40, 80)) == ("1,234,567", "6.2 %", "50 %")


def test_a_period_within_a_day_has_one_date() -> None:
    assert numbers.period(0, 7260) == "1970-01-01 00:00 to 02:01 UTC"
    assert numbers.period(0, 86400) == "1970-01-01 00:00 to 1970-01-02 00:00 UTC"


def test_hypervolume_over_time() -> None:
    # The reference is EER 0.5 and log10 of 2 * 50 parameters, that is 2.
    records = [
        record(0, 0.3, 10),  # 0.2 * 1
        record(1, 0.01, 1, state="PRUNED"),  # the EER of an epoch, not a result
        record(2, state="FAIL"),
        record(3, 0.4, 1),  # 0.1 * 1 more, below the first
        record(4, 0.1, 10),  # 0.2 * 1 more
        record(5, 0.2, 50),  # dominated by the last
        record(6, 0.01, 1000),  # larger than the reference
    ]
    whole = 0.5 * math.log10(2000)  # no errors at a thousandth of the base
    found = [whole * share for share in history.hypervolumes(records, 50)]
    assert found == pytest.approx([0.2, 0.2, 0.2, 0.3, 0.5, 0.5, 0.5])


def test_the_lowest_weighted_eer_over_time() -> None:
    values = [None, 0.3, 0.4, 0.2]
    records = [record(n, weighted_eer=value) for n, value in enumerate(values)]
    assert history.lowest_weighted_eers(records) == [None, 0.3, 0.3, 0.2]
    assert history.lowest_weighted_eers([record(0, weighted_eer=0.1, state="PRUNED")]) == [None]


def test_time_counts_while_a_trial_is_running() -> None:
    spans = [(100, 110), (105, 115), (280, 300), (300, 300)]
    records = [record(n, ended=float(end), seconds=float(end - begin)) for n, (begin, end) in enumerate(spans)]
    records[3] = replace(records[3], seconds=None)
    assert history.elapsed(records) == [10, 15, 35, 35]
    assert history.sorted_by_end([records[2], records[0]]) == [records[0], records[2]]


def test_without_times_trials_are_counted_in_the_order_of_the_log() -> None:
    records = [record(3, 0.3, 10, weighted_eer=0.3, ended=9.0), record(1, 0.2, 10, weighted_eer=0.2)]
    assert not history.has_times(records)
    assert history.sorted_by_end(records) == records
    plot = history.history_figures(records, 50)["weighted"]
    assert plot["data"][0]["x"] == [1, 2]
    assert plot["data"][0]["y"] == pytest.approx([30, 20])
    assert plot["data"][0]["customdata"] == [3, 1]


def test_what_trials_cost(settings: Settings) -> None:
    per_trial = replace(settings, cpus_per_trial=2, gpus_per_trial=0.5)
    records = [
        record(0, seconds=10.0, cpus=4.0, gpus=1.0, seconds_parts={"training": 8.0, "setup": 0.0}),
        record(
            1, seconds=5.0, state="PRUNED", seconds_parts={"training": 3.0, "scoring": 20.0}
        ),  # with the settings' resources
        record(2, state="PRUNED"),
    ]
    assert costs.costs(records, per_trial) == [
        costs.Cost("completed", 1, 10.0, 40.0, 10.0),
        costs.Cost("stopped early", 2, 5.0, 10.0, 2.5),
        costs.Cost("all", 3, 15.0, 50.0, 12.5),
    ]
    assert list(costs.seconds_by_part(records).items()) == [("scoring", 20.0), ("training", 11.0)]
    assert costs.costs([record(0, seconds=4.0)], replace(per_trial, gpus_per_trial=None))[-1].gpu_seconds == 0


def test_widths_relative_to_the_base() -> None:
    base = {"kept": 8, "cut": 8, "branch": 0, "never": 0}
    members = [
        record(0, total_widths={"kept": 8, "cut": 0, "branch": 0, "never": 0}),
        record(1, total_widths={"kept": 20, "cut": 2, "branch": 32, "never": 0}),
    ]
    assert widths.relative_widths(members, base) == {"kept": [1, 2.5], "cut": [0, 0.25], "branch": [None, math.inf]}
    plot = widths.widths_figure(members, base)
    assert plot is not None
    assert plot["data"][0]["z"] == [[1, 2], [0, 0.25], [None, 2]]
    assert plot["data"][0]["text"] == [["1", "2.5"], ["0", "0.25"], ["", "32 new"]]
    assert widths.widths_figure([], base) is None


def test_each_reference_is_compared_with_the_best_of_the_front_that_is_no_larger(settings: Settings) -> None:
    records = [
        record(0, 0.3, 40, recipe="paper"),
        record(1, 0.25, 45),
        record(2, 0.1, 51),
        record(3, 0.05, 30, recipe="x"),
    ]
    records[3] = replace(records[3], state="PRUNED")
    found = comparison.references(report_data(settings, records))
    assert [(one.name, one.size, one.eer) for one in found] == [("base", 50, 0.2), ("paper", 40, 0.3)]
    assert [one.best.number if one.best else None for one in found] == [1, 0]
    assert comparison.best_within(report_data(settings, records), 39) is None
    assert [one.name for one in comparison.references(report_data(settings, records, eer=None))] == ["paper"]


def test_eer_by_attack_comes_from_an_export(settings: Settings) -> None:
    rows: list[dict[str, Any]] = [
        {"role": "front", "name": "0", "trial": 7, "eer_dev_low": 0.9, "eer_dev_A01": 0.1, "eer_dev_A02": 0.25},
        {"role": "recipe", "name": "paper", "trial": 0, "eer_dev_low": None, "eer_dev_A01": None, "eer_dev_A02": None},
        {"role": "base", "name": "base", "trial": None, "eer_dev_low": None, "eer_dev_A01": 0.0, "eer_dev_A02": 0.5},
    ]
    data = report_data(settings, [record(7, 0.1, 10)], export=Export(tuple(rows), 1))
    expected = (["trial 7", "base"], ["A01", "A02"], [[0.1, 0.0], [0.25, 0.5]])
    assert attacks.by_attack(data, "dev") == expected
    assert attacks.by_attack(data, "eval") == ([], [], [])
    assert attacks.by_attack(replace(data, export=None), "dev") == ([], [], [])


def journal(path: Path, trials: int) -> Path:
    """A study in which x determines the first value, y the second, and z none."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name=NAME, directions=["minimize", "minimize"])
    ranges: dict[str, BaseDistribution] = dict.fromkeys("xyz", IntDistribution(0, 4))
    for n in range(trials):
        params = {"x": n % 5, "y": n // 5 % 5, "z": n * 7 // 3 % 5}
        values = [params["x"] + n / 1000, params["y"] + n / 1000]
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, values=values))
    return path


def test_parameters_that_determine_the_values_are_the_most_important(tmp_path: Path) -> None:
    path = journal(tmp_path / "study.journal", 50)
    before = path.read_bytes()
    found = importance.importance(path, "pareto")
    assert found.trials == 50
    assert list(found.shares) == ["EER", "parameters"]
    assert [next(iter(shares)) for shares in found.shares.values()] == ["x", "y"]
    for shares in found.shares.values():
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_confirmations_round_trip(tmp_path: Path) -> None:
    rows = [
        confirmation_table.Row("0", "front", "a", 1234, dev={1: 0.1, 2: 0.3, 4: 0.2}, eval={1: 0.4, 2: 0.5, 4: 0.6}),
        confirmation_table.Row("base", "base", "base", 50, dev={1: 0.25}),
    ]
    (tmp_path / "confirm").mkdir()
    confirmation_table.write(tmp_path / "confirm" / "confirm.csv", rows)
    assert comparison.confirmations(tmp_path) == [
        comparison.Confirmation("0", "front", "1,234", (0.1, 0.3, 0.2), (0.4, 0.5, 0.6)),
        comparison.Confirmation("base", "base", "50", (0.25,), ()),
    ]
    assert comparison.spread((0.1, 0.3, 0.2)) == "20.00 % (10.00 to 30.00)"
    assert comparison.spread(()) == "-"


POINTS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.6]), st.integers(1, 200)), min_size=1, max_size=12)


@given(points=POINTS)
def test_hypervolume_never_decreases_and_ends_at_that_of_all(points: list[tuple[float, int]]) -> None:
    found = history.hypervolumes([record(n, eer, size) for n, (eer, size) in enumerate(points)], 50)
    assert all(after >= before - 1e-12 for before, after in itertools.pairwise(found))
    assert found[-1] == pytest.approx(pareto.share(points, 50))


@given(spans=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=10))
def test_running_time_by_brute_force(spans: list[tuple[int, int]]) -> None:
    records = [record(n, ended=float(begin + long), seconds=float(long)) for n, (begin, long) in enumerate(spans)]
    busy = {second for begin, long in spans for second in range(begin, begin + long)}
    ends = [begin + long for begin, long in spans]
    assert history.elapsed(records) == [sum(second < end for second in busy) for end in ends]


def test_too_few_trials_have_no_importance(tmp_path: Path) -> None:
    found = importance.importance(journal(tmp_path / "study.journal", importance.MIN_TRIALS - 1), "pareto")
    assert found.missing == "Importance needs 20 completed trials of the sampler; the run has 19."
    assert importance.importance_figures(found) == {}


def test_a_missing_or_damaged_study_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    assert importance.importance(path, "weighted").missing == "The run has no study.journal."
    assert not path.exists()
    path.write_text("{oh no\n{oh no\n")
    assert "cannot be read" in importance.importance(path, "weighted").missing
    for cut in (b"", journal(tmp_path / "other.journal", 2).read_bytes()[:20]):
        path.write_bytes(cut)
        missing = importance.importance(path, "weighted").missing
        assert re.fullmatch(r"The run's study.journal cannot be read: .* must hold the study 'search'.*\.", missing)
        assert path.read_bytes() == cut


def test_a_damaged_confirmation_is_refused(tmp_path: Path) -> None:
    assert comparison.confirmations(tmp_path) == []
    (tmp_path / "confirm").mkdir()
    (tmp_path / "confirm" / "confirm.csv").write_text(
        "detector,what,parameters,seed,eer_dev,eer_eval\n0,front,10,0,x,\n"
    )
    with pytest.raises(ValueError, match=r"confirm\.csv is not a table of search\.confirm"):
        comparison.confirmations(tmp_path)


def test_label_positions_do_not_overlap_and_stay_in_the_figure() -> None:
    position = label_positions({"paper": 0.2, "control": 0.2, "base": 0.21}, middle=1000.0)
    assert [position(name, 5000) for name in ("base", "paper", "control")] == ["top left", "middle left", "bottom left"]
    assert position("base", 500) == "top right"
    assert position("", 5000) == "middle left"
    assert label_positions({"base": 0.2}, middle=1000.0)("base", 5000) == "middle left"
