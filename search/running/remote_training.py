"""Training and features for workers that share no file system with the search: by way of the bucket.

With a shared file system, or on this machine, paths are handed over as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from search.cluster import ray_cluster
from search.cluster.ray_cluster import Cluster
from search.settings.options import Settings
from trainables.storage import bucket_files, node_paths
from trainables.storage.activations import ActivationCache
from trainables.storage.bucket_files import join_uri
from trainables.storage.checkpoint import DIGESTS


def upload_features(settings: Settings, folder: Path) -> str:
    """Path or URI of a feature folder for workers. Runs of one bucket share it.

    Raises:
        OSError: the bucket cannot be reached.
    """
    return _upload(settings, folder, f"features/{folder.name}", node_paths.FEATURES)


def upload_base(settings: Settings, folder: Path) -> str:
    """Path or URI of a detector for workers; the URI has a digest of its weights.

    Raises:
        OSError: the bucket cannot be reached.
    """
    digest = hashlib.sha256((folder / DIGESTS).read_bytes()).hexdigest()[:20] if settings.no_shared_filesystem else ""
    return _upload(settings, folder, f"bases/{settings.model}-{digest}", node_paths.DETECTOR)


def train_remotely(
    settings: Settings,
    cluster: Cluster,
    function: Callable[..., Iterator[dict[str, Any]]],
    *arguments: Any,
    start: Path | None = None,
    store: Path,
    folder: Path,
    cpus: float,
    activations: ActivationCache | None = None,
    **named: Any,
) -> Iterator[dict[str, Any]]:
    """Run a training function on the cluster and yield its results as they come; then its detector is in `folder`.

    Args:
        settings: of the run.
        cluster: the Ray cluster.
        function: takes `arguments`, after the detector that it starts from if there is one, and by name features,
            folder, activations if there are any, and what else is named.
        arguments: passed on.
        start: folder of the detector that it starts from.
        store: folder of the features.
        folder: where its detector is to be, whole or not at all; within the run's folder or the cache.
        cpus: CPU cores that it asks for.
        activations: where outputs of frozen layers are kept.
        named: passed on.

    Raises:
        OSError: the bucket cannot be reached.
        Exception: what the function raises.
    """
    resources = {"cpus": cpus, "gpus": cluster.gpus}
    if not settings.no_shared_filesystem:
        given = arguments if start is None else (start, *arguments)
        more = named if activations is None else {**named, "activations": activations}
        yield from ray_cluster.run_remote_generator(
            function, *given, features=store, folder=folder, **more, **resources
        )
        return
    assert settings.run_uri is not None, "without a shared file system there is a bucket"
    # Of this run alone until it is downloaded; a run that ends removes it.
    uri = join_uri(settings.run_uri, "trained", folder.name)
    yield from ray_cluster.run_remote_generator(
        node_paths.train_without_shared_filesystem,
        function,
        *arguments,
        base=None if start is None else upload_base(settings, start),
        features=upload_features(settings, store),
        folder=uri,
        cache=str(settings.cache),
        activations_limit=None if activations is None else activations.limit,
        **named,
        **resources,
    )
    bucket_files.download(uri, folder, node_paths.DETECTOR)
    bucket_files.delete(uri)


def _upload(settings: Settings, folder: Path, name: str, files: tuple[str, ...]) -> str:
    if not settings.no_shared_filesystem:
        return str(folder)
    uri = join_uri(str(settings.bucket), *name.split("/"))
    bucket_files.upload_missing(folder, uri, files)
    return uri
