"""Where a worker finds what its trials need and leaves what they make.

Where all nodes see one file system, these are the search's own folders. Where they do not, the search has put features
and base into a storage, and each node keeps a copy of them, its activations and its grown stages in a cache of its own:
``DROPIN_CACHE`` where the node's environment sets it, else the path that the search's own cache has.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.storage.activations import ActivationCache
from trainables.storage.bucket_files import join_uri, local_copy, upload
from trainables.storage.checkpoint import DESCRIPTION, DIGESTS, WEIGHTS

FEATURES = ("settings.json", "train.arrow", "dev.arrow")
"""What trials need of a feature folder."""
DETECTOR = (WEIGHTS, DESCRIPTION, DIGESTS)
GROWTH_CACHE_FOLDER = "growth_cache"
"""Kept stages in the run's folder, where they are gone when the run is over, or in the node's cache."""


@dataclass(frozen=True)
class NodePaths:
    """Folders of this node.

    Attributes:
        base, features: there to be read.
        activations, stages: made when they are needed.
    """

    base: Path
    features: Path
    activations: Path
    stages: Path

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> NodePaths:
        """Those of a run's trials; what this node lacks is fetched.

        Raises:
            OSError: it cannot be fetched.
        """
        if job.get("storage") is None:
            folder = Path(job["run_folder"])
            return cls(Path(job["base"]), Path(job["features"]), Path(job["activations"]), folder / GROWTH_CACHE_FOLDER)
        cache = node_cache(job["cache"])
        base = local_copy(job["base"], cache, DETECTOR)
        features = local_copy(job["features"], cache, FEATURES)
        # Stages are addressed by plan alone, so the folder stands for the rest of what they depend on.
        about = [base.name, features.name, job["seed"], job["random_crop"], job["precision"]]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:20]
        return cls(base, features, cache / "activations", cache / GROWTH_CACHE_FOLDER / digest)


def node_cache(default: str) -> Path:
    """This node's cache: ``DROPIN_CACHE`` where it is set, else `default`."""
    return Path(os.environ.get("DROPIN_CACHE") or default)


def store_detector(job: Mapping[str, Any], number: int, save: Callable[[Path], None]) -> None:
    """Have a trial's detector written where the search looks for it: whole when this returns.

    Args:
        job: of the run.
        number: the trial's.
        save: writes the detector as a folder.

    Raises:
        OSError: it cannot be written, or sent to the storage.
    """
    if job.get("storage") is None:
        save(Path(job["run_folder"]) / "detectors" / str(number))
        return
    with tempfile.TemporaryDirectory(prefix="detector-") as place:
        save(Path(place) / "detector")
        upload(Path(place) / "detector", join_uri(job["storage"], "detectors", str(number)))


def apart(
    train: Callable[..., Iterator[dict[str, Any]]],
    *arguments: Any,
    base: str | None = None,
    features: str,
    folder: str,
    cache: str,
    activations_limit: int | None = None,
    **named: Any,
) -> Iterator[dict[str, Any]]:
    """What a training function yields that reads and writes folders, on a node that shares none with the search.

    Args:
        train: takes `arguments`, features and folder by name, and what else is named.
        arguments: passed on.
        base: URI of a detector, whose local copy becomes the first argument.
        features: URI of the features.
        folder: URI of the detector that it writes.
        cache: the search's cache; see `node_cache`.
        activations_limit: bytes of activations that `train` may keep; ``None`` where it takes none.
        named: passed on.
    """
    own = node_cache(cache)
    store = local_copy(features, own, FEATURES)
    if base is not None:
        arguments = (local_copy(base, own, DETECTOR), *arguments)
    if activations_limit is not None:
        named["activations"] = ActivationCache(own / "activations", store, activations_limit)
    with tempfile.TemporaryDirectory(prefix="detector-") as place:
        yield from train(*arguments, features=store, folder=Path(place) / "detector", **named)
        upload(Path(place) / "detector", folder)
