from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import finished_run
from search import warm_start
from search.assessment import Assessment
from search.members import Run
from search.sampler import PlanSearch
from search.settings import Settings


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose study knows two of its trials: 2, which ended well, and 4, which failed."""
    folder = finished_run.make(tmp_path_factory.mktemp("earlier"))
    search = PlanSearch(
        lambda trial: {"x": trial.suggest_float("x", 0, 1)}, job={}, journal=folder / "study.journal", ended={},
        recipes={"paper": {}, "control": {"x": 2}}, anchors={}, assess=lambda plan: Assessment(), sampler="random",
        seed=0,
    )  # fmt: skip
    configs = [search.suggest(str(number)) for number in range(5)]
    assert [config["number"] for config in configs if isinstance(config, dict)] == [0, 1, 2, 3, 4]
    search.on_trial_complete("2", {"epoch": 1, "epochs": 1, "best_weighted_eer": 0.25, "best_eer": 0.25, "size": 5})
    search.on_trial_complete("4", {}, error=True)
    return folder


def settings_of(folder: Path, **changed: object) -> Settings:
    """Of a run in the same place that learns from it; it is its own successor, since only what is compared matters."""
    return replace(Run.open(folder).settings, warm_start=(folder,), **changed)  # type: ignore[arg-type]


def test_finished_trials_are_learned_from_at_this_runs_size_weight(earlier: Path) -> None:
    settings = settings_of(earlier, size_weight=0.0)
    warm_start.check(settings)
    (found,) = warm_start.known(settings)
    assert found.name == "one/2"
    assert set(found.trial.params) == {"x"}
    half_error = 1 / (2 * finished_run.UTTERANCES["dev"])
    assert found.record.weighted_eer == pytest.approx(finished_run.EERS[2] + half_error, rel=0.5)
    (heavy,) = warm_start.known(settings_of(earlier, size_weight=1.0))
    assert heavy.record.weighted_eer != found.record.weighted_eer


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"space": "dropin"}, "same space; .* has plasticity, this run dropin"),
        ({"model": "grnn"}, "same model"),
        ({"model_options": {"width": 8}}, "same model options"),
        ({"epochs": 99}, "same epochs"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_by_name(earlier: Path, changed: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        warm_start.check(settings_of(earlier, **changed))


@pytest.mark.parametrize("what", ["corpus", "base"])
def test_another_corpus_or_base_is_refused(earlier: Path, what: str, tmp_path: Path) -> None:
    own = tmp_path / "two"
    own.mkdir()
    (own / "base").mkdir()
    for name in ("settings.json", "corpus.json", "base/model.safetensors"):
        (own / name).write_bytes((earlier / name).read_bytes())
    if what == "base":
        (own / "base" / "model.safetensors").write_bytes(b"another")
    else:
        corpus = json.loads((own / "corpus.json").read_text())
        (own / "corpus.json").write_text(json.dumps({**corpus, "digest": "0" * 64}))
    settings = settings_of(earlier, storage=tmp_path, name="two")
    with pytest.raises(ValueError, match=f"same {what}; that of .*one has digest .*: leave it out"):
        warm_start.known(settings)


def test_a_folder_that_is_no_run_is_refused(earlier: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no settings\.json"):
        warm_start.check(replace(settings_of(earlier), warm_start=(tmp_path,)))
