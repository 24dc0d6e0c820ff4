"""Prometheus and Grafana beside a run: what is written for them, how they start and end, and the real ones."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import project_file
from search.cluster.ray_cluster import Cluster
from search.display import grafana, monitor
from search.display.metrics import Gauges
from search.display.monitor import DISCOVERY, HOST, Monitor, find, free_port, grafana_home
from search.runs.front import Standings
from search.runs.record import Record

WAIT = 90.0
"""Seconds after which what has not come never will."""


def comes(true: Callable[[], object]) -> bool:
    """Whether something becomes true, sooner or later."""
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH; nothing is in it but what ends programs with their parent."""
    place = tmp_path / "bin"
    place.mkdir()
    if setpriv := shutil.which("setpriv"):
        (place / "setpriv").symlink_to(setpriv)
    monkeypatch.setenv("PATH", str(place))
    for name in monitor.TOLD.values():
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return place


def pretend(programs: Path, name: str, does: str) -> Path:
    """A program of this name, whose first act is to write down its number and how it was called."""
    program = programs / name
    told = programs / f"{name}.told"
    program.write_text(f'#!/bin/sh\necho "$$ $@" > "{told}.part"\n/bin/mv "{told}.part" "{told}"\n{does}\n')
    program.chmod(0o755)
    return told


def calls(told: Path) -> tuple[int, list[str]]:
    """The number of a pretended program's process, and its arguments."""
    assert comes(told.exists)
    number, *arguments = told.read_text().split()
    return int(number), arguments


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


# What is written


def test_everything_is_written_where_nothing_is_installed(tmp_path: Path, programs: Path) -> None:
    folder, session = tmp_path / "monitor", tmp_path / "session"
    with Monitor(folder) as watching:
        watching.tell_ray()
        lines = dict(watching.start(session))
    assert not set(monitor.TOLD.values()) & set(os.environ)  # Ray looks for none, or where it is used to
    for name, advice in (("prometheus", "apt install"), ("grafana", "grafana.com")):
        assert re.fullmatch(rf"not installed, so the run goes on without it \(.*{advice}.*\)", lines[name])
    scrape = read_json(folder / "prometheus.yml")["scrape_configs"][0]
    assert scrape["file_sd_configs"][0]["files"] == [str(session / DISCOVERY)]
    source = read_json(folder / "provisioning" / "datasources" / "dropin.yml")["datasources"][0]
    assert (source["url"], source["access"]) == (f"http://{HOST}:9090", "proxy")
    providers = read_json(folder / "provisioning" / "dashboards" / "dropin.yml")["providers"]
    places = [Path(provider["options"]["path"]) for provider in providers]
    assert places == [folder / "dashboards", session / "metrics" / "grafana" / "dashboards"]
    assert read_json(places[0] / "dropin.json") == grafana.dashboard()
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(folder / "grafana.ini")
    assert (settings["server"]["http_addr"], settings["server"]["http_port"]) == (HOST, "3000")
    assert settings["auth.anonymous"]["org_role"] == "Viewer"
    assert settings["paths"]["provisioning"] == str(folder / "provisioning")
    assert Path(settings["dashboards"]["default_home_dashboard_path"]).is_file()


def test_without_a_session_there_is_nothing_to_scrape(tmp_path: Path) -> None:
    monitor.write(tmp_path, None, {})
    assert read_json(tmp_path / "prometheus.yml")["scrape_configs"][0]["file_sd_configs"] == []
    assert len(read_json(tmp_path / "provisioning" / "dashboards" / "dropin.yml")["providers"]) == 1


@pytest.mark.usefixtures("programs")
def test_away_from_a_clusters_head_it_says_that_there_are_no_charts(tmp_path: Path) -> None:
    session = tmp_path / "session"
    assert "head" in dict(Monitor(tmp_path / "monitor").start(session, "auto"))["monitor"]
    assert "monitor" not in dict(Monitor(tmp_path / "monitor").start(session))
    (session / DISCOVERY).parent.mkdir(parents=True, exist_ok=True)
    (session / DISCOVERY).write_text("[]")
    assert "monitor" not in dict(Monitor(tmp_path / "monitor").start(session, "auto"))


def test_a_resumed_run_writes_it_anew_and_keeps_the_data(tmp_path: Path) -> None:
    monitor.write(tmp_path, tmp_path / "first", {"prometheus": 1, "grafana": 2})
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "data").write_text("kept")
    monitor.write(tmp_path, tmp_path / "second", {"prometheus": 3, "grafana": 4})
    text = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert str(tmp_path / "second" / DISCOVERY) in text
    assert str(tmp_path / "first") not in text
    assert f"http://{HOST}:3" in text
    assert "http_port = 4" in text
    assert (tmp_path / "prometheus" / "data").read_text() == "kept"


# What is started


def test_programs_start_with_the_run_on_loopback_and_end_with_it(tmp_path: Path, programs: Path) -> None:
    told = [pretend(programs, name, "while :; do /bin/sleep 0.1; done") for name in ("prometheus", "grafana")]
    with Monitor(tmp_path / "monitor") as watching:
        watching.tell_ray()
        lines = dict(watching.start(tmp_path / "session"))
        (first, prometheus), (second, grafana) = map(calls, told)
        assert alive(first)
        assert alive(second)
    assert not alive(first)
    assert not alive(second)
    said = {
        name: re.fullmatch(r"(http\S+) \(from another machine first `ssh -L (\d+):.*`\)", lines[name]) for name in lines
    }
    addresses = {name: match[1] for name, match in said.items() if match and match[1].endswith(f":{match[2]}")}
    assert os.environ["RAY_PROMETHEUS_HOST"] == addresses["prometheus"]
    assert os.environ["RAY_GRAFANA_HOST"] == addresses["grafana"]
    assert f"--web.listen-address={addresses['prometheus'].removeprefix('http://')}" in prometheus
    assert addresses["prometheus"].startswith(f"http://{HOST}:")
    assert grafana == ["server", "--homepath", "/usr/share/grafana", "--config", f"{tmp_path}/monitor/grafana.ini"]


def test_what_the_user_told_ray_stays(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(programs, "prometheus", "")
    monkeypatch.setenv("RAY_PROMETHEUS_HOST", "http://elsewhere:9090")
    Monitor(tmp_path / "monitor").tell_ray()
    assert os.environ["RAY_PROMETHEUS_HOST"] == "http://elsewhere:9090"


def test_a_program_that_does_not_listen_is_ended_all_the_same(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "FAREWELL", 0.1)
    told = pretend(programs, "prometheus", "trap '' TERM\necho > \"$0.deaf\"\nwhile :; do /bin/sleep 0.1; done")
    with Monitor(tmp_path / "monitor") as watching:
        watching.start(None)
        number, _ = calls(told)
        assert comes((programs / "prometheus.deaf").exists)
    assert not alive(number)


def test_a_program_that_ends_at_once_is_said_to(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(programs, "grafana-server", "echo no home; exit 1")
    watching = Monitor(tmp_path / "monitor")
    monkeypatch.setattr("time.sleep", lambda seconds: watching._processes["grafana"].wait())
    with watching:
        lines = dict(watching.start(None))
    log = tmp_path / "monitor" / "grafana.log"
    assert lines["grafana"] == f"it ended at once; {log} says why"
    assert log.read_text() == "no home\n"
    assert "server" not in (programs / "grafana-server.told").read_text().split()[1:]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv ends programs with their parent; it is not here")
def test_programs_end_with_a_run_that_is_killed(tmp_path: Path, programs: Path) -> None:
    told = pretend(programs, "prometheus", "while :; do /bin/sleep 0.1; done")
    code = (
        "import sys, time; from pathlib import Path; from search.display.monitor import Monitor; "
        "Monitor(Path(sys.argv[1])).start(None); time.sleep(1000)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "monitor")], cwd=project_file.ROOT)
    try:
        number, _ = calls(told)
        assert alive(number)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert comes(lambda: not alive(number))


def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        first = taken.getsockname()[1]
        assert free_port(first) != first


def test_programs_are_found_by_either_name(programs: Path) -> None:
    assert find(("grafana", "grafana-server")) is None
    pretend(programs, "grafana-server", "")
    assert find(("grafana", "grafana-server")) == programs / "grafana-server"
    pretend(programs, "grafana", "")
    assert find(("grafana", "grafana-server")) == programs / "grafana"


def test_grafana_finds_its_files_beside_it_or_where_packages_put_them(tmp_path: Path) -> None:
    program = tmp_path / "grafana-12" / "bin" / "grafana"
    program.parent.mkdir(parents=True)
    program.touch()
    assert grafana_home(program) == Path("/usr/share/grafana")
    (tmp_path / "grafana-12" / "conf").mkdir()
    (tmp_path / "grafana-12" / "conf" / "defaults.ini").touch()
    link = tmp_path / "grafana"
    link.symlink_to(program)
    assert grafana_home(link) == tmp_path / "grafana-12"


# The real Prometheus, where it is installed


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, which comes with Prometheus, is not installed")
def test_prometheus_accepts_its_settings(tmp_path: Path) -> None:
    monitor.write(tmp_path, tmp_path / "session", {})
    checked = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_prometheus_scrapes_gauges_and_takes_every_expression(tmp_path: Path, workers: Cluster) -> None:
    import ray

    node = ray.nodes()[0]
    targets = [{"labels": {"job": "ray"}, "targets": [f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"]}]
    (tmp_path / DISCOVERY).write_text(json.dumps(targets))  # as Ray's dashboard, which is not there, would write it
    record = Record(0, "COMPLETE", None, {}, eer=0.125, size=20, weighted_eer=0.125)
    gauges = Gauges("scraped", "plasticity", "resnet18", Standings([record]), 1000)
    gauges.trial_running(1, "10.0.0.1", 0.5)

    with Monitor(tmp_path / "monitor") as watching:
        address = dict(watching.start(tmp_path))["prometheus"].split()[0]

        def ask(expression: str) -> list[dict[str, Any]]:
            question = urllib.parse.urlencode({"query": expression})
            try:
                with urllib.request.urlopen(f"{address}/api/v1/query?{question}") as answer:
                    found = json.load(answer)
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{expression}: {error.read().decode()}") from error
            except urllib.error.URLError:
                return []  # it is still starting
            assert found["status"] == "success"
            return list(found["data"]["result"])

        def best() -> list[dict[str, Any]]:
            gauges.publish_if_due()
            return ask('ray_dropin_best_weighted_eer{run="scraped"}')

        assert comes(best)
        assert float(best()[0]["value"][1]) == 0.125
        answers = {name: ask(name.replace("$run", "scraped")) for chart in grafana.CHARTS for name, _ in chart.lines}
    unanswered = [name for name, answer in answers.items() if not answer]
    assert all("gpus" in name for name in unanswered), unanswered
