"""Trials on nodes that share no folder with the search: what they read, keep and leave is that of trials that do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from detectors import architecture
from runs import plan_config, write_store
from trainables import load
from trainables.jobs.pretraining import pretrain
from trainables.messages import Job
from trainables.storage.bucket_files import download, join_uri, upload_missing
from trainables.storage.checkpoint import DIGESTS, WEIGHTS
from trainables.storage.node_paths import DETECTOR, FEATURES, NodePaths, node_cache, train_without_shared_filesystem

PLAN = plan_config("plasticity", 2, grow={"gru.0": 2}, prune_epoch=1, final={"gru.0": 5})
SETTINGS: dict[str, Any] = {"epochs": 1, "seed": 0, "random_crop": False, "card": {"front_end": "lfcc"}, "gpu": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features and a base."""
    folder = tmp_path_factory.mktemp("trained")
    store = write_store(folder / "features", train=12, dev=14)
    (store / "settings.json").write_text("{}")
    list(pretrain(architecture("grnn"), features=store, folder=folder / "base", **SETTINGS))
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This node's cache."""
    monkeypatch.setenv("DROPIN_CACHE", str(tmp_path / "node"))
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray_results"))
    return tmp_path / "node"


def on_paths(trained: Path, run_folder: Path) -> Job:
    return {
        "base": str(trained / "base"), "features": str(trained / "features"), "run_folder": str(run_folder),
        "size_weight": 0.5, "size_base": 841, "seed": 5, "threads": 1, "random_crop": False, "precision": "float32",
        "prunings_per_growth": 2, "growth_cache_limit": 10**9, "gpu": False,
        "activations": str(run_folder / "activations"),
        "activations_limit": 10**9, "storage": None, "cache": str(run_folder / "cache"),
    }  # fmt: skip


def in_storage(trained: Path, shared: Path) -> Job:
    """The same job config without a shared file system, its base and features uploaded."""
    uri = shared.as_uri()
    base, features = join_uri(uri, "bases", "grnn-1"), join_uri(uri, "features", "lfcc-1")
    upload_missing(trained / "base", base, DETECTOR)
    upload_missing(trained / "features", features, FEATURES)
    return {
        **on_paths(trained, Path("/nowhere")),
        "base": base,
        "features": features,
        "storage": join_uri(uri, "one"),
    }


def run(job: Job, number: int) -> Iterator[dict[str, Any]]:
    config = {"job": job, "plan": PLAN, "number": number, "name": f"trial-{number}", "recipe": None, "exempt": False}
    trainable = load("plasticity")(config=config)
    while not (result := trainable.train())["done"]:
        yield result
    yield result


def copies(cache: Path) -> dict[str, list[str]]:
    """Names of the folders in a cache, by kind."""
    return {kind.name: sorted(one.name for one in kind.iterdir() if one.is_dir()) for kind in sorted(cache.iterdir())}


def test_on_paths_they_are_those_of_the_search(trained: Path, own: Path, tmp_path: Path) -> None:
    found = NodePaths.from_job(on_paths(trained, tmp_path))
    assert found == NodePaths(
        trained / "base", trained / "features", tmp_path / "activations", tmp_path / "growth_cache"
    )
    assert not own.exists()


def test_a_nodes_own_cache_goes_before_that_of_the_search(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node_cache("/cache") == own
    monkeypatch.delenv("DROPIN_CACHE")
    assert node_cache("/cache") == Path("/cache")


def test_growth_caches_of_other_seeds_have_other_folders(trained: Path, own: Path, tmp_path: Path) -> None:
    job = in_storage(trained, tmp_path / "shared")
    assert NodePaths.from_job(job).growth_cache == NodePaths.from_job(job.copy()).growth_cache
    for other in ({"seed": 6}, {"random_crop": True}, {"precision": "bfloat16"}):
        assert NodePaths.from_job(cast(Job, {**job, **other})).growth_cache != NodePaths.from_job(job).growth_cache


def test_trials_come_out_the_same_with_one_copy_of_all_that_they_need(trained: Path, own: Path, tmp_path: Path) -> None:
    job = in_storage(trained, tmp_path / "shared")
    for number in range(3):
        there = list(run(job, number))
    here = list(run(on_paths(trained, tmp_path / "run"), 2))
    # The third trial there continues from the first one's entry of the growth cache.
    assert [result["eer"] for result in there] == [result["eer"] for result in here][-len(there) :]
    download(join_uri(str(job["storage"]), "detectors", "2"), tmp_path / "back")
    left = tmp_path / "run" / "detectors" / "2"
    assert (tmp_path / "back" / WEIGHTS).read_bytes() == (left / WEIGHTS).read_bytes()
    assert sorted(path.name for path in (tmp_path / "shared" / "one" / "detectors").iterdir()) == ["0", "1", "2"]
    found = copies(own)
    assert (found["bases"], found["features"]) == (["grnn-1"], ["lfcc-1"])
    assert len(found["growth_cache"]) == 1
    assert not Path("/nowhere").exists()


def test_a_base_trained_without_shared_filesystem_is_the_same(trained: Path, own: Path, tmp_path: Path) -> None:
    job = in_storage(trained, tmp_path / "shared")
    uri = join_uri(str(job["storage"]), "trained", "base")
    rows = train_without_shared_filesystem(
        pretrain, architecture("grnn"), features=job["features"], folder=uri, cache="/nowhere", **SETTINGS
    )
    assert [row["epoch"] for row in rows] == [1]
    download(uri, tmp_path / "back")
    assert (tmp_path / "back" / WEIGHTS).read_bytes() == (trained / "base" / WEIGHTS).read_bytes()


def test_training_without_shared_filesystem_may_start_from_a_base(trained: Path, own: Path, tmp_path: Path) -> None:
    job = in_storage(trained, tmp_path / "shared")
    seen = []

    def train(base: Path, *, features: Path, folder: Path) -> Iterator[dict[str, Any]]:
        seen.extend([base, features])
        folder.mkdir()
        (folder / DIGESTS).write_text("{}")
        yield {}

    uri = join_uri(str(job["storage"]), "trained", "other")
    list(
        train_without_shared_filesystem(train, base=job["base"], features=job["features"], folder=uri, cache="/nowhere")
    )
    assert seen == [own / "bases" / "grnn-1", own / "features" / "lfcc-1"]
    assert (tmp_path / "shared" / "one" / "trained" / "other" / DIGESTS).exists()


def test_a_trial_whose_features_are_gone_fails(trained: Path, own: Path, tmp_path: Path) -> None:
    job = in_storage(trained, tmp_path / "shared")
    (tmp_path / "shared" / "features" / "lfcc-1" / "dev.arrow").unlink()
    with pytest.raises(FileNotFoundError, match=r"dev\.arrow"):
        NodePaths.from_job(job)
    assert not (own / "features" / "lfcc-1").exists()
