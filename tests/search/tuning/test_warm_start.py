from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import finished_run
from search.runs.front import Standings
from search.runs.members import StoredRun
from search.settings.options import Settings
from search.storage import bucket_pull
from search.tuning import space_check, warm_start
from search.tuning.feasibility import Feasibility
from search.tuning.searcher import PlanSearch
from search.tuning.warm_start import WarmStartTrial
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose study knows two of its trials: 2, which ended well, and 4, which failed."""
    folder = finished_run.make(tmp_path_factory.mktemp("earlier"))
    search = PlanSearch(
        space_check.search_space(StoredRun.open(folder).settings), job={}, journal=folder / "study.journal", ended={},
        standings=Standings(),
        recipes={"paper": {}, "control": {"x": 2}}, initial_points={}, check_feasibility=lambda plan: Feasibility(), 
        sampler="random", seed=0,
    )  # fmt: skip
    configs = [search.suggest(str(number)) for number in range(5)]
    assert [config["number"] for config in configs if isinstance(config, dict)] == [0, 1, 2, 3, 4]
    search.on_trial_complete("2", {"epoch": 1, "epochs": 1, "best_weighted_eer": 0.25, "best_eer": 0.25, "size": 5})
    search.on_trial_complete("4", {}, error=True)
    return folder


def settings_of(folder: Path, **changed: object) -> Settings:
    """Of a run in the same folder that learns from it; it is its own successor, since only what is compared matters."""
    return replace(StoredRun.open(folder).settings, **{"warm_start": (folder,), **changed})  # type: ignore[arg-type]


def learned(settings: Settings) -> list[WarmStartTrial]:
    return warm_start.warm_start_trials(settings, warm_start.open_runs(settings))


def test_finished_trials_are_learned_from_at_this_runs_size_weight(earlier: Path) -> None:
    (found,) = learned(settings_of(earlier, size_weight=0.0))
    assert found.name == "one/2"
    assert {"lr_factor", "final.all"} <= set(found.trial.params)
    half_error = 1 / (2 * finished_run.UTTERANCES["dev"])
    assert found.record.weighted_eer == pytest.approx(finished_run.EERS[2] + half_error, rel=0.5)
    (heavy,) = learned(settings_of(earlier, size_weight=1.0))
    assert heavy.record.weighted_eer != found.record.weighted_eer


def test_a_run_in_a_bucket_is_learned_from_as_one_in_a_folder(earlier: Path, bucket: str, tmp_path: Path) -> None:
    uri = join_uri(bucket, "runs", "one")
    bucket_files.upload(earlier, uri)
    settings = settings_of(earlier, warm_start=(uri,), cache=tmp_path)
    runs = warm_start.open_runs(settings)
    assert [run.folder for run in runs] == [bucket_pull.local_folder(uri, tmp_path)]
    bucket_files.delete(uri)  # a run may take hours from here on, and is told nothing else
    assert warm_start.warm_start_trials(settings, runs) == learned(settings_of(earlier))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"space": "dropin"}, "same space; .* has plasticity, this run dropin"),
        ({"model": "grnn"}, "same model"),
        ({"model_option": {"width": 8}}, "same model option;"),
        ({"epochs": 99}, "same epochs"),
    ],
)
def test_runs_that_are_not_comparable_are_rejected_by_name(
    earlier: Path, changed: dict[str, object], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        warm_start.open_runs(settings_of(earlier, **changed))


def test_a_run_of_a_version_with_another_space_is_rejected_by_name(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spaces.plasticity.LR_FACTORS", (0.1, 8.0))
    with pytest.raises(ValueError, match=f"trial of {earlier} was chosen from another space"):
        warm_start.open_runs(settings_of(earlier))


def test_a_run_that_cannot_be_compared_is_named_as_it_was_given(earlier: Path, bucket: str, tmp_path: Path) -> None:
    uri = join_uri(bucket, "runs", "one")
    bucket_files.upload(earlier, uri)
    changed = {"warm_start": (uri,), "cache": tmp_path, "model": "grnn"}
    with pytest.raises(ValueError, match=f"same model; {uri} has resnet18, this run grnn: leave it out"):
        warm_start.open_runs(settings_of(earlier, **changed))


@pytest.mark.parametrize("what", ["corpus", "base"])
def test_another_corpus_or_base_is_rejected(earlier: Path, what: str, tmp_path: Path) -> None:
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
        learned(settings)


def test_a_folder_that_is_no_run_is_rejected(earlier: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no settings\.json"):
        warm_start.open_runs(replace(settings_of(earlier), warm_start=(tmp_path,)))


def test_a_uri_where_no_run_or_no_bucket_is_is_rejected(earlier: Path, bucket: str, tmp_path: Path) -> None:
    for uri in (join_uri(bucket, "runs", "none"), "s3://none/runs/one"):
        with pytest.raises(ValueError, match=rf"{uri} has no settings\.json: correct the URI"):
            warm_start.open_runs(settings_of(earlier, warm_start=(uri,), cache=tmp_path))


@pytest.mark.parametrize("journal", [b"", b'{"op_code', b"{oh no\n", b'{"op_code":0}\n', None])
def test_a_study_that_cannot_be_read_is_said_in_one_message(
    earlier: Path, journal: bytes | None, tmp_path: Path
) -> None:
    own = tmp_path / "spoilt"
    shutil.copytree(earlier, own)
    if journal is None:
        (own / "study.journal").unlink()
    else:
        (own / "study.journal").write_bytes(journal)
    with pytest.raises(DropinError, match=rf"--warm-start: the study of {own} cannot be read .*: leave it out"):
        warm_start.open_runs(settings_of(own))


def test_a_log_with_parameters_is_learned_from_without_a_journal(earlier: Path, tmp_path: Path) -> None:
    own = tmp_path / "one"
    shutil.copytree(earlier, own)
    expected = learned(settings_of(earlier))
    rows = [json.loads(line) for line in (own / "trials.jsonl").read_text().splitlines()]
    rows[2]["parameters"] = expected[0].trial.params
    (own / "trials.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows if row["number"] != 3))
    (own / "study.journal").write_bytes(b"")
    found = learned(settings_of(own, storage=tmp_path))
    assert [one.name for one in found] == ["one/2"]
    assert found[0].trial.params == expected[0].trial.params
    assert found[0].trial.distributions == expected[0].trial.distributions
    assert replace(found[0].record, parameters={}) == expected[0].record
