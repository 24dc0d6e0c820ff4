"""Fixtures that several rooms use."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

import storage
from search.cluster import ray_compat
from search.cluster.ray_cluster import Cluster
from search.running import interruption
from search.settings.command_line import parse
from search.settings.options import Settings

# Several processes share the cores: one thread each, and where a test has more, none that waits keeps a core busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # Ray reads it at its import, which any test may come to
hypothesis.settings.register_profile("project", deadline=None)  # no test depends on time
hypothesis.settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mini_la() -> Path:
    """Root of a small real-speech corpus in the ASVspoof 2019 LA tree; the test is skipped where it is absent."""
    place = Path(os.environ.get("DROPIN_MINI_LA", ROOT.parent / "shared" / "corpora" / "mini-la")).resolve()
    if not (place / "LA").is_dir():
        pytest.skip(f"no small LA corpus at {place}; point DROPIN_MINI_LA at one")
    return place


@pytest.fixture(scope="session")
def corpus_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the simulated corpus, built once for all processes of a session. Tests read it or copy from it."""
    from trainables import corpora

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(shared / "cache.lock"):
        corpora.read("synthetic", None, cache=shared / "cache")
    return shared / "cache"


@pytest.fixture(scope="session")
def workers() -> Iterator[Cluster]:
    """Two workers of a small Ray cluster, without a dashboard; they know the pretended trial."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ray_compat.ENVIRONMENT.items():
            patch.setenv(name, value)
        import ray

        import pretended  # beside the tests that use it

        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        ray.cloudpickle.register_pickle_by_value(pretended)
        yield Cluster(cpus=1, gpus=0.0, concurrent=2, dashboard=None, login=None, waiting=None)
        ray.shutdown()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of an S3 server on this machine."""
    with storage.served("s3") as address:
        yield address


@pytest.fixture(scope="session")
def gs() -> Iterator[str]:
    """Address of a Google Cloud Storage server on this machine."""
    with storage.served("gs") as address:
        yield address


@pytest.fixture
def bucket_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a new bucket of a kind, and says its URI; the environment then says where its server is, and lets in."""

    def made(kind: str) -> str:
        server = request.getfixturevalue(kind)
        for name, value in storage.environment(kind, server).items():
            monkeypatch.setenv(name, value)
        return storage.new_bucket(kind, server)

    return made


@pytest.fixture(params=storage.KINDS)
def bucket(request: pytest.FixtureRequest, bucket_of: Callable[[str], str]) -> str:
    """URI of a new bucket, of each kind."""
    return bucket_of(request.param)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a run in a folder of its own, which exists."""
    arguments = ["--storage", str(tmp_path / "runs"), "--name", "one", "--cache", str(tmp_path / "cache")]
    made = parse([*arguments, "--trials", "6"])
    made.run_folder.mkdir(parents=True)
    return made


@pytest.fixture
def handled() -> Iterator[None]:
    """Signals as a driver handles them; afterwards as before."""
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    interruption.install()
    yield
    interruption.install()
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A row for every run of the gauntlet."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    rows = [value for report in reports for name, value in report.user_properties if name == "gauntlet"]
    if not rows:
        return
    head = ("result", "event", "when", "end or progress", "status", "ended before")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    terminalreporter.section("gauntlet")
    for row in [head, *rows]:
        terminalreporter.write_line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))
