"""The command that searches: what comes first, and what ends it at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from project_file import ROOT
from search import run, run_search
from search.display.progress import make_display
from search.running.outcome import Outcome
from search.running.search import search
from search.settings.command_line import parse
from search.settings.options import Settings


def test_ray_is_told_of_the_monitor_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    @contextmanager
    def starting(address: str | None, **asked: Any) -> Iterator[None]:
        told.append("Ray starts")
        yield
        told.append("Ray ends")

    monkeypatch.setattr("search.cluster.ray_cluster.prepare", lambda address: None)
    monkeypatch.setattr("search.cluster.ray_cluster.ray_session", starting)
    monkeypatch.setattr("search.display.monitor.Monitor.tell_ray", lambda monitor: told.append(monitor.folder))
    monkeypatch.setattr("search.display.monitor.Monitor.__exit__", lambda monitor, *error: told.append("monitor ends"))

    def carry_on(settings: Settings, starting: object, monitor: object, sync: object, display: object) -> Outcome:
        told.append(monitor is not None)
        return Outcome(front=True)

    monkeypatch.setattr("search.running.search._search", carry_on)
    options = ["--storage", str(tmp_path), "--cache", str(tmp_path)]
    for more in (["--name", "one", "--monitor"], ["--name", "two"]):
        assert search(parse([*options, *more]), make_display(quiet=True)).front
    monitored = [tmp_path / "one" / "monitor", "Ray starts", True, "monitor ends", "Ray ends"]
    assert told == [*monitored, "Ray starts", False, "Ray ends"]


@pytest.mark.parametrize("option", ["--cpus-per-trial", "--gpus-per-trial"])
def test_what_no_machine_has_is_refused_before_any_work(option: str, tmp_path: Path) -> None:
    words = ["search.run", "--storage", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"), "--name", "one"]
    for name in ("first", "again"):  # the name is free again
        done = subprocess.run(
            [sys.executable, "-m", *words, option, "99999"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, ""), name
        assert "a trial must fit on one node; it requests" in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_mixed_up_packages_end_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> Path:
        raise ValueError("spaces is elsewhere")

    monkeypatch.setattr("search.run.check_origin", refuse)
    assert run.main([]) == 2
    assert "spaces is elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["spaces", "trainables"])
@pytest.mark.parametrize("start", ["from search.run import main; sys.exit(main([]))", "from search import Settings"])
def test_a_package_of_another_project_is_named(package: str, start: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {start}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert f"uninstall the other package named {package}" in done.stderr


def test_a_name_stays_free_where_the_search_cannot_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Settings, **more: object) -> Outcome:
        assert settings.paths.settings.exists()
        return Outcome(error="width must be more", users=True, begun=False)

    monkeypatch.setattr("search.driver.supervisor.search", refuse)
    monkeypatch.setattr("search.display.terminal.prepare", lambda: None)
    for _ in range(2):
        assert run.main(["--storage", str(tmp_path), "--name", "one"]) == 2
        with pytest.raises(ValueError, match="width must be more"):
            run_search(Settings(storage=tmp_path, name="one"))
    assert list((tmp_path / "one").iterdir()) == []
    settings = Settings(storage=tmp_path, name="one")
    settings.paths.settings.write_text(settings.to_json())
    assert run.main(["--resume", str(tmp_path / "one")]) == 2
    assert settings.paths.settings.exists()
