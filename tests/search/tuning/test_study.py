from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.tuning import study
from search.tuning.samplers import make_sampler
from search.tuning.study import BEST, LATEST, Study, trials_to_keep


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """A parameter of each kind."""
    return {
        "x": trial.suggest_float("x", 0.0, 1.0),
        "lr": trial.suggest_float("lr", 1e-5, 1e-1, log=True),
        "n": trial.suggest_int("n", 1, 8),
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
    }


def stored(journal: Path) -> list[FrozenTrial]:
    """The trials as Optuna reads them."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name=study.NAME, storage=storage).get_trials()


def ended(value: float | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return create_trial(state=state, value=value, params={"x": 0.5}, distributions={"x": FloatDistribution(0.0, 1.0)})


def test_optuna_reads_back_what_was_asked_and_told(tmp_path: Path) -> None:
    made = Study(tmp_path / "journal")
    plans = []
    for number in range(3):
        trial = made.ask(RandomSampler(seed=number))
        plans.append(suggest(trial))
        trial_id = made.start(trial, {"number": number})
        assert trial_id == number
        if number < 2:
            made.tell(trial_id, *((TrialState.COMPLETE, [0.25]) if number else (TrialState.PRUNED, None)))
    rejected = made.ask(RandomSampler(seed=3))
    plans.append(suggest(rejected))
    made.reject(rejected, TrialState.FAIL, {"rejected": "why"})
    found = stored(tmp_path / "journal")
    assert [trial.params for trial in found] == [pytest.approx(plan) for plan in plans]
    assert [trial.state.name for trial in found] == ["PRUNED", "COMPLETE", "RUNNING", "FAIL"]
    assert [trial.value for trial in found] == [None, 0.25, None, None]
    assert [trial.user_attrs for trial in found] == [{"number": 0}, {"number": 1}, {"number": 2}, {"rejected": "why"}]
    assert made.asked == 4


def test_a_trial_is_two_lines_of_the_journal(tmp_path: Path) -> None:
    made = Study(tmp_path / "journal")
    before = (tmp_path / "journal").read_text().count("\n")
    trial = made.ask(RandomSampler(seed=0))
    suggest(trial)
    made.tell(made.start(trial, {}), TrialState.COMPLETE, [0.5])
    assert (tmp_path / "journal").read_text().count("\n") == before + 2


def test_a_point_is_taken_as_it_is(tmp_path: Path) -> None:
    point = {"x": 0.25, "lr": 0.001, "n": 3, "kind": "b"}
    assert suggest(Study(tmp_path / "journal").ask(RandomSampler(seed=0), point)) == pytest.approx(point)


def test_a_reopened_study_has_its_earlier_trials_and_continues(tmp_path: Path) -> None:
    first = Study(tmp_path / "journal")
    for number in range(2):
        trial = first.ask(RandomSampler(seed=number))
        suggest(trial)
        trial_id = first.start(trial, {"number": number})
    first.tell(trial_id, TrialState.COMPLETE, [0.5])
    second = Study(tmp_path / "journal")
    assert [trial.state.name for trial in second.earlier_trials] == ["RUNNING", "COMPLETE"]
    second.tell_earlier(0, TrialState.FAIL, None)
    assert second.earlier_trials[0].state == TrialState.FAIL
    second.load_earlier_trials()
    assert second.earlier_trials == []
    trial = second.ask(RandomSampler(seed=2))
    suggest(trial)
    second.tell(second.start(trial, {}), TrialState.COMPLETE, [0.125])
    assert [(trial.state.name, trial.value) for trial in stored(tmp_path / "journal")] == [
        ("FAIL", None),
        ("COMPLETE", 0.5),
        ("COMPLETE", 0.125),
    ]


def test_samplers_see_the_constraints_and_generation_of_a_trial_that_ended_with_other_parameters(
    tmp_path: Path,
) -> None:
    seen: list[FrozenTrial] = []

    class Watching(RandomSampler):
        def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
            seen[:] = study.get_trials(states=(TrialState.COMPLETE,))
            return {}

    made = Study(tmp_path / "journal")
    trial = made.ask(NSGAIISampler(seed=0, population_size=2))
    chosen = suggest(trial)
    trial.set_constraint("parameters", -5)
    made.tell_with_params(made.start(trial, {"number": 0}), {**chosen, "kind": "a"}, [0.25], {"number": 0})
    suggest(made.ask(Watching(seed=0)))
    assert [one.params["kind"] for one in seen] == ["a"]
    assert seen[0].constraints == {"parameters": -5}
    assert "NSGAIISampler:generation" in seen[0].system_attrs
    assert [one.state.name for one in stored(tmp_path / "journal")] == ["FAIL", "COMPLETE"]
    assert stored(tmp_path / "journal")[1].system_attrs == seen[0].system_attrs


def test_the_best_and_the_latest_trials_are_kept() -> None:
    count = LATEST + 100
    values = [abs(number - 40) / 10 for number in range(count)]  # the best are early
    kept = trials_to_keep([ended(value) for value in values])
    expected = sorted(values[:100])[:BEST]
    assert sorted(trial.value or 0.0 for trial in kept[:BEST]) == expected
    assert [trial.value for trial in kept[BEST:]] == values[100:]


def test_only_trials_that_samplers_learn_from_are_kept() -> None:
    states = [TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    trials = [ended(0.5 if state == TrialState.COMPLETE else None, state) for state in states]
    assert trials_to_keep(trials) == trials[1:]
    assert trials_to_keep([]) == []


def test_running_trials_still_end_after_the_memory_is_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "LATEST", 8)
    monkeypatch.setattr(study, "BEST", 2)
    seen = []

    class Watching(TPESampler):
        def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
            seen.append(len(study.get_trials(deepcopy=False)))
            return super().infer_relative_search_space(study, trial)

    made = Study(tmp_path / "journal")
    running: list[tuple[int, float]] = []
    for number in range(60):
        trial = made.ask(Watching(seed=number, n_startup_trials=4, multivariate=True, constant_liar=True))
        chosen = suggest(trial)["x"]
        running.append((made.start(trial, {"number": number}), chosen))
        if len(running) > 3:  # three are always under way, the first until the end
            trial_id, value = running.pop(1)
            made.tell(trial_id, TrialState.COMPLETE, [value])
    for trial_id, value in running:
        made.tell(trial_id, TrialState.COMPLETE, [value])
    assert max(seen) <= 2 * 8 + 2 + 3 + 1  # the latest, as many more, the best, those that run, the one at hand
    found = stored(tmp_path / "journal")
    assert all(trial.state == TrialState.COMPLETE for trial in found)
    assert all(trial.value == pytest.approx(trial.params["x"]) for trial in found)
    assert [trial.user_attrs["number"] for trial in found] == list(range(60))


def test_a_sampler_that_is_told_the_space_chooses_as_one_that_works_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "LATEST", 8)
    monkeypatch.setattr(study, "BEST", 2)
    told, plain = Study(tmp_path / "told"), Study(tmp_path / "plain")
    options: dict[str, Any] = {"multivariate": True, "constant_liar": True, "n_startup_trials": 4}
    for number in range(50):
        chosen = []
        for made, sampler in (
            (told, make_sampler("tpe", 0, number, 4, told.space)),
            (plain, TPESampler(seed=number, **options)),
        ):
            trial = made.ask(sampler)
            plan = suggest(trial)
            # A parameter that trials do not have at first, and one that only stopped ones lack.
            plan["late"] = trial.suggest_float("late", 0.0, 1.0) if number > 12 else 0.5
            plan["full"] = trial.suggest_float("full", 0.0, 1.0) if number % 6 else 0.5
            chosen.append(plan)
            value = plan["x"] + plan["late"] + plan["full"]
            trial_id = made.start(trial, {})
            made.tell(trial_id, *((TrialState.COMPLETE, [value]) if number % 6 else (TrialState.PRUNED, None)))
        assert chosen[0] == chosen[1]


def test_many_running_trials_do_not_reset_the_memory_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "LATEST", 8)
    resets = []

    def watched(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        resets.append(len(trials))
        return trials_to_keep(trials)

    monkeypatch.setattr(study, "trials_to_keep", watched)
    made = Study(tmp_path / "journal")
    running = []
    for number in range(80):
        trial = made.ask(RandomSampler(seed=number))
        suggest(trial)
        running.append(made.start(trial, {}))
        if number >= 40:
            made.tell(running.pop(0), TrialState.COMPLETE, [0.5])
    assert len(resets) <= 2 + 40 // 8
