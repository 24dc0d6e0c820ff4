"""Fixtures of the search's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import pretended
from search import cluster
from search.cluster import Cluster
from search.settings import Settings, parse


@pytest.fixture(scope="session")
def workers() -> Iterator[Cluster]:
    """Two workers of a small Ray cluster, without a dashboard; they know the pretended trial."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        for name, value in cluster.QUIET.items():
            patch.setenv(name, value)
        import ray

        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        ray.cloudpickle.register_pickle_by_value(pretended)
        yield Cluster(cpus=1, gpus=0.0, concurrent=2, dashboard=None, login=None, waiting=None)
        ray.shutdown()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a run in a folder of its own, which exists."""
    arguments = ["--storage", str(tmp_path / "runs"), "--name", "one", "--cache", str(tmp_path / "cache")]
    made = parse([*arguments, "--trials", "6"])
    made.run_folder.mkdir(parents=True)
    return made
