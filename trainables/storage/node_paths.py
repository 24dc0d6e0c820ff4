"""Paths that a worker reads from and writes to, with and without a file system that all nodes share.

With a shared file system these are folders of the run and of the search's cache. Without one, the search has uploaded
features and base to object storage; each node downloads them into a cache of its own, which also holds its activations
and its growth cache: ``DROPIN_CACHE`` where the node's environment sets it, else the same path as the search's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.messages import Job
from trainables.storage.activations import ActivationCache
from trainables.storage.bucket_files import join_uri, local_copy, upload
from trainables.storage.checkpoint import DESCRIPTION, DIGESTS, WEIGHTS
from trainables.storage.run_paths import RunPaths

FEATURES = ("settings.json", "train.arrow", "dev.arrow")
"""The files of a feature folder that trials read."""
DETECTOR = (WEIGHTS, DESCRIPTION, DIGESTS)


@dataclass(frozen=True)
class NodePaths:
    """Folders that a trial uses on this node.

    Attributes:
        base, features: exist, and are only read.
        activations, growth_cache: created when needed.
    """

    base: Path
    features: Path
    activations: Path
    growth_cache: Path

    @classmethod
    def from_job(cls, job: Job) -> NodePaths:
        """The paths for a job config; downloads base and features if this node has no copy.

        Raises:
            OSError: they cannot be downloaded.
        """
        if job["storage"] is None:
            growth_cache = RunPaths(Path(job["run_folder"])).growth_cache
            return cls(Path(job["base"]), Path(job["features"]), Path(job["activations"]), growth_cache)
        cache = node_cache(job["cache"])
        base = local_copy(job["base"], cache, DETECTOR)
        features = local_copy(job["features"], cache, FEATURES)
        # Keys of the growth cache are digests of plans; the folder is named after all else that an entry depends on.
        settings = [base.name, features.name, job["seed"], job["random_crop"], job["precision"]]
        digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:20]
        return cls(base, features, cache / "activations", cache / RunPaths(cache).growth_cache.name / digest)


def node_cache(default: str) -> Path:
    """This node's cache folder: ``DROPIN_CACHE`` if set, else `default`."""
    return Path(os.environ.get("DROPIN_CACHE") or default)


def store_detector(job: Job, number: int, save: Callable[[Path], None]) -> None:
    """Write a trial's detector to the run folder, or upload it to object storage; complete when this returns.

    Args:
        job: the run's job config.
        number: the trial's number.
        save: writes the detector as a folder.

    Raises:
        OSError: it cannot be written or uploaded.
    """
    if (storage := job["storage"]) is None:
        save(RunPaths(Path(job["run_folder"])).detector(number))
        return
    with tempfile.TemporaryDirectory(prefix="detector-") as temporary:
        save(Path(temporary) / "detector")
        upload(Path(temporary) / "detector", join_uri(storage, RunPaths(Path()).detectors.name, str(number)))


def train_without_shared_filesystem(
    train: Callable[..., Iterator[dict[str, Any]]],
    *arguments: Any,
    base: str | None = None,
    features: str,
    folder: str,
    cache: str,
    activations_limit: int | None = None,
    **settings: Any,
) -> Iterator[dict[str, Any]]:
    """Run a training function that reads and writes folders on a node without a file system shared with the search.

    Args:
        train: the function: takes `arguments`, then ``features``, ``folder`` and `settings` by name.
        arguments: passed on.
        base: URI of a detector, whose local copy becomes the first argument.
        features: URI of the features.
        folder: URI to upload the trained detector to.
        cache: the search's cache; see `node_cache`.
        activations_limit: bytes of activations that `train` may cache; ``None`` if it takes no ``activations``.
        settings: passed on.

    Yields:
        What `train` yields.

    Raises:
        OSError: the storage cannot be reached.
    """
    node = node_cache(cache)
    store = local_copy(features, node, FEATURES)
    if base is not None:
        arguments = (local_copy(base, node, DETECTOR), *arguments)
    if activations_limit is not None:
        settings["activations"] = ActivationCache(node / "activations", store, activations_limit)
    with tempfile.TemporaryDirectory(prefix="detector-") as temporary:
        yield from train(*arguments, features=store, folder=Path(temporary) / "detector", **settings)
        upload(Path(temporary) / "detector", folder)
