"""The private parts of Ray do what `search.cluster.ray_compat` says, on a real Ray, and nothing else uses them."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.experimental import internal_kv
from ray.tune import Callback
from ray.tune.experiment import Trial

import project_file
from pretended import Pretended
from search.cluster import ray_compat
from search.cluster.ray_cluster import Cluster

PLAN = {"x": 0.25, "size": 60, "epochs": 2}

# The environment and the start


def test_ray_knows_every_environment_variable() -> None:
    import ray

    root = Path(ray.__file__).parent
    sources = [path for room in ("_private", "_common", "tune") for path in (root / room).rglob("*.py")]
    known = [path.read_bytes() for path in [*sources, root / "core" / "src" / "ray" / "raylet" / "raylet"]]
    for name in {**ray_compat.ENVIRONMENT, **ray_compat.LOCAL_ENVIRONMENT}:
        # Settings of Ray's core are in its binaries without what their variables begin with.
        wanted = name.removeprefix("RAY_").encode()
        assert any(wanted in content for content in known), f"this Ray does not know {name}"


def test_a_session_is_in_the_folder_that_ray_was_told(monkeypatch: pytest.MonkeyPatch, workers: Cluster) -> None:
    import ray
    from ray._private.worker import RayContext

    given: dict[str, Any] = {}
    node: Any = ray._private.worker.global_worker.node
    session = node.get_session_dir_path()
    monkeypatch.setattr(ray, "init", lambda *address, **named: given.update(named, address=address))
    ray_compat.init_local("/somewhere", include_dashboard=False)
    assert given == {"address": ("local",), "_temp_dir": "/somewhere", "include_dashboard": False}
    assert ray_compat.session_dir(RayContext(node.address_info)) == Path(session)
    assert Path(session).is_relative_to(ray.get_runtime_context().get_temp_dir())


def test_what_ray_will_count_is_what_it_counts(workers: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    node: Any = ray._private.worker.global_worker.node
    known = node.get_resource_and_label_spec()  # of a node that was told its 2 CPUs
    monkeypatch.setattr("ray._private.utils.get_num_cpus", lambda: 2)
    found = ray_compat.local_resources()
    assert found == {"CPU": known.num_cpus, "GPU": known.num_gpus} == {"CPU": 2, "GPU": found["GPU"]}
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", json.dumps({"CPU": 7, "GPU": 3}))
    assert ray_compat.local_resources() == {"CPU": 7, "GPU": 3}


def test_which_address_ray_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_compat.cluster_address("192.0.2.1:6379") == "192.0.2.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.2:6380")
    assert ray_compat.cluster_address("auto") == "192.0.2.2:6380"
    assert ray_compat.cluster_address("192.0.2.1:6379") == "192.0.2.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "ray://192.0.2.2:10001")
    assert ray_compat.cluster_address("auto") is None


def test_where_there_is_no_cluster_auto_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda folder: None)
    with pytest.raises(ConnectionError):
        ray_compat.cluster_address("auto")


def test_asking_for_the_node_before_there_is_a_cluster_starts_none() -> None:
    code = """
from search.cluster import ray_cluster, ray_compat
ray_cluster.prepare("auto")
assert ray_compat.own_node_alive()
import ray
try:
    ray.nodes()
except Exception as error:
    print(type(error).__name__)
assert not ray.is_initialized()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project_file.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


# What the head knows of nodes


def test_resources_of_a_cluster_are_those_of_its_configuration(workers: Cluster) -> None:
    raylet: Any = importlib.import_module("ray._raylet")  # whose types mypy does not see
    messages: Any = importlib.import_module("ray.core.generated.autoscaler_pb2")
    assert ray_compat.max_cluster_resources() is None
    groups = [
        messages.NodeGroupConfig(name="head", resources={"CPU": 0}, max_count=1),
        messages.NodeGroupConfig(name="workers", resources={"CPU": 8, "GPU": 1}, max_count=3),
    ]
    config = messages.ClusterConfig(node_group_configs=groups).SerializeToString()
    key, namespace = raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY, raylet.GCS_AUTOSCALER_STATE_NAMESPACE
    internal_kv._internal_kv_put(key, config, namespace=namespace)
    try:
        assert ray_compat.max_cluster_resources() == {"CPU": 24, "GPU": 3}
    finally:
        internal_kv._internal_kv_del(key, namespace=namespace)
    assert ray_compat.max_cluster_resources() is None


def report(nodes: int | None, launches: int = 0) -> dict[str, Any]:
    """What an autoscaler reports of so many nodes that are there or being set up."""
    from ray.autoscaler._private.autoscaler import AutoscalerSummary

    known = None if nodes is None else {f"192.0.2.{number}": "local.cluster.node" for number in range(nodes)}
    pending = {"local.cluster.node": launches} if launches else {}
    return asdict(AutoscalerSummary({}, {}, [], pending, [], node_type_mapping=known))


@pytest.mark.parametrize(("nodes", "launches", "expected"), [(None, 0, 0), (1, 0, 1), (4, 0, 4), (4, 3, 7)])
def test_nodes_of_the_autoscaler_are_those_of_its_report(
    nodes: int | None, launches: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: dict[str, Any] = {DEBUG_AUTOSCALING_STATUS: None}
    monkeypatch.setattr(internal_kv, "_internal_kv_get", stored.get)
    assert ray_compat.autoscaler_nodes() == 0
    stored[DEBUG_AUTOSCALING_STATUS] = json.dumps({"load_metrics_report": {}}).encode()
    assert ray_compat.autoscaler_nodes() == 0
    stored[DEBUG_AUTOSCALING_STATUS] = json.dumps({"autoscaler_report": report(nodes, launches)}).encode()
    assert ray_compat.autoscaler_nodes() == expected


def test_the_autoscaler_of_a_head_reports_that_node(workers: Cluster) -> None:
    for _ in range(600):  # it reports every few seconds
        if found := ray_compat.autoscaler_nodes():
            break
        time.sleep(0.1)
    assert found == 1


# What Tune keeps of a trial


class Recorder(Callback):
    """Notes what `ray_compat` says of trials when Tune tells of them."""

    def __init__(self) -> None:
        self.noted: dict[str, list[dict[str, Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def note(self, what: str, trial: Trial) -> None:
        storage = ray_compat.trial_storage(trial)
        noted = {
            "traceback": ray_compat.trial_traceback(trial),
            "can_retry": ray_compat.can_retry(trial),
            "max_retries": ray_compat.max_retries(trial),
            "resources": ray_compat.trial_resources(trial),
            "storage": None if storage is None else (storage[0].type_name, storage[1]),
        }
        self.noted.setdefault(what, []).append(noted)

    def on_trial_recover(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        self.note("recover", trial)

    def on_trial_error(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        self.note("error", trial)

    def on_trial_complete(self, iteration: int, trials: Sequence[Trial], trial: Trial, **info: Any) -> None:
        self.note("complete", trial)
        assert trial.storage is not None
        self.ended, self.folder = trial, Path(trial.storage.trial_driver_staging_path)
        assert self.folder.is_dir()
        ray_compat.clear_trial(trial)


def run(folder: Path, plan: Mapping[str, Any]) -> Recorder:
    """A trial of Tune's, of 1 CPU, that is retried once."""
    recorder = Recorder()
    tune.Tuner(
        tune.with_resources(Pretended, {"CPU": 1}),
        param_space={"plan": dict(plan), "number": 3},
        tune_config=tune.TuneConfig(trial_dirname_creator=lambda trial: str(trial.config["number"])),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder),
            callbacks=[recorder],
            failure_config=tune.FailureConfig(max_failures=1),
            verbose=0,
        ),
    ).fit()
    return recorder


def test_a_trial_that_fails_has_its_traceback_and_retries(workers: Cluster, tmp_path: Path) -> None:
    recorder = run(tmp_path, {**PLAN, "fails": "raise"})
    (first,), (last,) = recorder.noted["recover"], recorder.noted["error"]
    for noted in (first, last):
        assert "RuntimeError: the loss is no number" in noted["traceback"]
        assert noted["max_retries"] == 1
        assert noted["resources"] == (1, 0)
        assert noted["storage"] == ("local", str(tmp_path / "tune" / "3"))
    assert (first["can_retry"], last["can_retry"]) == (True, False)


def test_nothing_is_left_of_a_trial_that_was_cleared_and_tune_goes_on(workers: Cluster, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("1 2 ")  # so that it does not die, and writes a checkpoint
    recorder = run(tmp_path, {**PLAN, "trace": str(trace)})
    assert "recover" not in recorder.noted
    (noted,) = recorder.noted["complete"]
    assert (noted["traceback"], noted["can_retry"]) == ("", True)
    trial = recorder.ended
    assert trial.status == Trial.TERMINATED
    assert (trial.config, trial.evaluated_params, trial.experiment_tag) == ({}, {}, "")
    assert "best_eer" not in trial.last_result
    assert trial.checkpoint is None
    assert not recorder.folder.exists()


def test_a_trial_that_never_began_has_no_folder(workers: Cluster) -> None:
    trial = Trial("Pretended", stub=True, config={"number": 0})
    assert ray_compat.trial_storage(trial) is None
    assert ray_compat.trial_resources(trial) == (None, None)
    ray_compat.clear_trial(trial)
    assert trial.config == {}


# Nothing else uses them

PRIVATE_OF_TRIALS = {
    *("checkpoint_manager", "error_file", "evaluated_params", "experiment_tag", "max_failures", "run_metadata"),
    *("placement_group_factory", "should_recover", "trial_driver_staging_path", "trial_fs_path"),
}


def private_parts(source: str) -> list[str]:
    """What a module uses of Ray that is private, by import or by attribute."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
            found += [node.attr] if node.attr in PRIVATE_OF_TRIALS else []
        else:
            continue
        for name in names:
            parts = name.split(".")
            inner = {"experimental", "autoscaler"} & set(parts[1:2]) or [one for one in parts[1:] if one[:1] == "_"]
            found += [name] if parts[0] == "ray" and inner else []
    return found


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("import ray._private.state", True),
        ("from ray.experimental import internal_kv", True),
        ("from ray.autoscaler import sdk", True),
        ("from ray.air.execution import _internal", True),
        ("import ray\nray._private.state.state", True),
        ("def f(trial): trial.run_metadata.last_result", True),
        ("import ray\nray.nodes()\nfrom ray.tune import Callback", False),
        ("from search._private import ray", False),
    ],
)
def test_the_rule_finds_private_parts(source: str, private: bool) -> None:
    assert bool(private_parts(source)) is private


def test_only_ray_compat_uses_private_parts_of_ray() -> None:
    root = project_file.ROOT
    own = root / "search" / "cluster" / "ray_compat.py"
    assert private_parts(own.read_text(encoding="utf-8"))
    for file in [*(root / "search").rglob("*.py"), *(root / "trainables").rglob("*.py")]:
        if file != own:
            assert not private_parts(file.read_text(encoding="utf-8")), f"{file} belongs into ray_compat.py"
