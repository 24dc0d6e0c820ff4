"""Every private part of Ray that this project relies on. What a new release changes, its contract test shows by name.

Private is what Ray does not document: environment variables of its own, modules and attributes that begin with an
underscore or stand in ``ray.experimental`` and ``ray.autoscaler``, and what Tune keeps in a `Trial`.

Ray is imported inside functions: it reads `ENVIRONMENT` when it is first imported.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from ray.train._internal.storage import StorageContext
    from ray.tune.experiment import Trial

ENVIRONMENT: Mapping[str, str] = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A question to Ray before it is there, as by a watchdog, is an error and starts no other Ray.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    # Idle processes that Ray starts ahead: trials never get them, as Tune starts its actors in another environment.
    "RAY_prestart_worker_first_driver": "0",
    # A node asks for its object store until that answers, often once too early: for 10 s as ever, but not each second.
    "RAY_raylet_client_connect_timeout_milliseconds": "50",
    "RAY_raylet_client_num_connect_attempts": "200",
    # So long a node waits for a worker that it has started; one that dies meanwhile is noticed only then.
    "RAY_worker_register_timeout_seconds": "30",
    # So long the client waits for a control process (GCS) that is gone before Ray ends this process.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "30",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "60",
    # Runs are resumed from our own log, so Tune's snapshot of the experiment is written once, at the end.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
}
"""Environment variables of Ray and Tune in every run."""
LOCAL_ENVIRONMENT: Mapping[str, str] = {
    # The one switch by which Ray gives this machine's node the loopback address; an address that it is told it replaces
    # by the machine's own. No other machine can join.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""Environment variables of Ray besides, where it is started on this machine."""


def init_local(temp_dir: str | None, **options: Any) -> Any:
    """Start Ray on this machine.

    Args:
        temp_dir: where its sessions' folders are; ``None`` for Ray's own choice.
        options: of ``ray.init``.

    Returns:
        What ``ray.init`` returns.
    """
    import ray

    return ray.init("local", _temp_dir=temp_dir, **options)


def local_resources() -> Mapping[str, float]:
    """CPUs and GPUs that Ray will count on this machine when it is started here, by its names."""
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec

    logging.getLogger("ray").setLevel(logging.ERROR)  # Ray has notices about how it counts, as when it is started
    found = ResourceAndLabelSpec().resolve(is_head=True, node_ip_address="127.0.0.1")
    return {"CPU": float(found.num_cpus or 0), "GPU": float(found.num_gpus or 0)}


def cluster_address(address: str) -> str | None:
    """``HOST:PORT`` of the control process (GCS) to which ``ray.init(address)`` will connect.

    Args:
        address: ``auto`` or ``HOST:PORT``; where it is ``auto``, ``RAY_ADDRESS`` counts, then what runs here.

    Returns:
        The address; ``None`` where it would be no such connection, as of Ray's client.

    Raises:
        ConnectionError: it is ``auto`` and nothing says where a cluster is.
        ValueError: no address.
        OSError: the host's name is not known.
    """
    from ray._private import services

    if address == "auto" and "://" in os.environ.get("RAY_ADDRESS", ""):
        return None
    found: str | None = services.canonicalize_bootstrap_address(address)
    return found


def session_dir(context: Any) -> Path:
    """The folder of Ray's session on this machine, from what ``ray.init`` returned."""
    return Path(context.address_info["session_dir"])


def remove_ended_sessions(folder: Path) -> None:
    """Remove the folders of sessions whose driver has ended from Ray's temporary folder.

    Args:
        folder: Ray's temporary folder; a session's is ``session_DATE_TIME_MICROSECONDS_PID``, PID that of its driver.
    """
    for session in folder.glob("session_*"):
        driver = session.name.rpartition("_")[2]
        if driver.isdigit() and not psutil.pid_exists(int(driver)):
            shutil.rmtree(session, ignore_errors=True)
    latest = folder / "session_latest"  # a link
    if latest.is_symlink() and not latest.exists():
        latest.unlink(missing_ok=True)


def lost_process() -> str | None:
    """A process of Ray on this machine that has died though a run cannot go on without it; ``None`` where all live.

    The agents of a node end with its raylet, and a raylet ends when one of them does.
    """
    import ray

    node = ray._private.worker._global_node
    if node is None:
        return None
    try:
        dead = {str(kind) for kind, _ in node.dead_processes()}
    except RuntimeError:  # processes are being started or ended in another thread at this moment
        return None
    names = {"gcs_server": "Ray's control process (GCS)", "raylet": "Ray's node manager (raylet)"}
    found = [text for kind, text in names.items() if kind in dead]
    return f"{found[0]} has died" if found else None


def own_node_alive() -> bool:
    """Whether the cluster says that this process's node is alive; the question may take for ever.

    Before this process has joined a cluster it is.
    """
    import ray

    if not ray.is_initialized():
        return True
    own = ray.get_runtime_context().get_node_id()
    return any(node["Alive"] for node in ray.nodes() if node["NodeID"] == own)


def max_cluster_resources() -> Mapping[str, float] | None:
    """Resources that the cluster may grow to in all, by Ray's names; ``None`` where its configuration says nothing."""
    import ray

    found: Mapping[str, float] | None = ray._private.state.state.get_max_resources_from_cluster_config()
    return found


def autoscaler_nodes() -> int:
    """How many nodes the autoscaler knows, the head, those being set up and those being launched included.

    It is 0 where there is no autoscaler, and before its first report.
    """
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    report = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or b"{}").get("autoscaler_report") or {}
    return len(report.get("node_type_mapping") or {}) + sum((report.get("pending_launches") or {}).values())


def trial_resources(trial: Trial) -> tuple[float | None, float | None]:
    """CPUs and GPUs that a trial has to itself, where Tune says so."""
    request = trial.placement_group_factory
    if request is None:
        return None, None
    return request.required_resources.get("CPU", 0.0), request.required_resources.get("GPU", 0.0)


def trial_storage(trial: Trial) -> tuple[FileSystem, str] | None:
    """Where Tune keeps a trial's checkpoints: a filesystem and a path in it; ``None`` before the trial has a folder."""
    storage = _storage_context(trial)
    return None if storage is None else (storage.storage_filesystem, storage.trial_fs_path)


def trial_traceback(trial: Trial) -> str:
    """The traceback of a trial's latest error; empty where there is none."""
    # Trial.get_error reads the copy in the storage, which Tune makes later than it tells of the error.
    path = trial.error_file
    return Path(path).read_text(encoding="utf-8") if path and Path(path).exists() else ""


def can_retry(trial: Trial) -> bool:
    """Whether a trial has failed no more often than `max_retries` allows."""
    return bool(trial.should_recover())


def max_retries(trial: Trial) -> int:
    """How often Tune retries a trial: ``FailureConfig.max_failures``."""
    return int(trial.max_failures)


def clear_trial(trial: Trial) -> None:
    """Take out of an ended trial what takes memory, and its working folder off this machine's disk."""
    if (storage := _storage_context(trial)) is not None:
        shutil.rmtree(storage.trial_driver_staging_path, ignore_errors=True)
    trial.config.clear()
    trial.evaluated_params.clear()
    trial.experiment_tag = ""
    trial.trial_name_creator = trial.trial_dirname_creator = None
    checkpoints = trial.run_metadata.checkpoint_manager
    assert checkpoints is not None, "a trial that was made has one"
    trial.run_metadata = type(trial.run_metadata)()
    trial.run_metadata.checkpoint_manager = type(checkpoints)(None)


def _storage_context(trial: Trial) -> StorageContext | None:
    """Where a trial's files are; ``None`` before it has a folder."""
    return None if trial.storage is None or trial.storage.trial_dir_name is None else trial.storage
