"""Commands as a user whom the machine does not know: without a home folder, with the root as one, with another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import finished_run
import strangers

pytestmark = pytest.mark.skipif(not strangers.CAN_BE_ONE, reason="needs root, Linux and setpriv")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder of the stranger's, with a finished run and its cache in it."""
    with strangers.folder() as folder:
        finished_run.make(folder)
        strangers.give(folder)
        yield folder


@pytest.mark.parametrize("home", [None, "/", "/root"])
def test_a_search_without_a_folder_for_its_cache_says_how_to_name_one(home: str | None, place: Path) -> None:
    done = strangers.python("-m", "search.run", "--storage", str(place / "runs"), home=home)
    assert done.returncode == 2
    assert "set DROPIN_CACHE" in done.stderr
    assert "--cache DIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (place / "runs").iterdir()] == ["one"]


@pytest.mark.parametrize("home", [None, "/"])
def test_a_finished_run_is_shown_and_used_without_a_home(home: str | None, place: Path) -> None:
    run, front = str(place / "runs" / "one"), str(place / f"front{home is None}")
    corpus, other = place / "corpus", place / f"other{home is None}"
    read = ["--corpus", "asvspoof2019-la", "--corpus-root", str(corpus), "--cache", str(other / "cache")]
    audio = str(next(corpus.rglob("*.flac")))
    for words in (
        ["export", run, "--to", front],
        ["report", run],
        ["score", f"{front}/detectors/0", audio, "--timeline", str(other / "timelines")],
        ["evaluate", front, *read, "--to", str(other / "evaluation")],
    ):
        done = strangers.python("-m", f"search.{words[0]}", *words[1:], home=home)
        assert (done.returncode, done.stderr) == (0, ""), words


def test_ray_starts_and_works_without_a_home(place: Path) -> None:
    code = """
from search.cluster import ray_cluster
ray_cluster.prepare(None)
import ray.tune  # which asks for the home folder
found = ray_cluster.init_ray(None, cpus_per_trial=1, gpus_per_trial=0)
def count():
    yield 1
print(*ray_cluster.run_remote_generator(count, cpus=1, gpus=0))
print(found.login)
ray_cluster.shutdown_ray()
"""
    done = strangers.python("-c", code, home=None)
    assert done.returncode == 0, done.stderr
    token = strangers.PRIVATE / "auth_token"
    printed = done.stdout.splitlines()
    assert printed[0] == "1"
    assert f"RAY_AUTH_TOKEN_PATH={token} " in printed[1]
    assert token.stat().st_mode & 0o077 == strangers.PRIVATE.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", ["export", "report"])
def test_a_place_that_may_not_be_entered_is_refused_at_once(command: str, place: Path) -> None:
    closed = place / f"closed-{command}"
    (closed / "there").mkdir(parents=True)
    closed.chmod(0)
    below_a_file = place / "runs" / "one" / "settings.json" / "new.html"
    for target in (closed / "there" / "new.html", closed / "new.html", Path("/new.html"), below_a_file):
        done = strangers.python("-m", f"search.{command}", str(place / "runs" / "one"), "--to", str(target), home="/")
        assert done.returncode == 2, target
        assert done.stderr.count("\n") == 1, done.stderr
