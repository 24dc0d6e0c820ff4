"""``--monitor``: Prometheus and Grafana beside a run. They start with it, are told where it is, and end with it.

Both listen on this machine's loopback only, keep their data in the run's folder and run where they are installed; a run
goes on without the one that is not. Settings are written as JSON, which is YAML as well.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from search.cluster.ray_cluster import tunnel
from search.display import grafana

HOST = "127.0.0.1"
FIRST_PORTS = {"prometheus": 9090, "grafana": 3000}
"""Where people expect them; the next free port is taken where another program has it."""
COMMANDS = {"prometheus": ("prometheus",), "grafana": ("grafana", "grafana-server")}
"""What they are called on the PATH; Grafana had another name before its version 9."""
ADVICE = {
    "prometheus": "on Debian and Ubuntu: sudo apt install prometheus",
    "grafana": "packages and archives: https://grafana.com/grafana/download",
}
TOLD = {"prometheus": "RAY_PROMETHEUS_HOST", "grafana": "RAY_GRAFANA_HOST"}
"""What Ray's dashboard reads their addresses from when it starts."""
DISCOVERY = "prom_metrics_service_discovery.json"
"""Ray's list of its nodes' metrics endpoints, in the session's folder on the head node."""
INTERVAL = "10s"
"""How often endpoints are read: as often as Ray renews them."""
DISK = "1GB"
"""What Prometheus may keep; the oldest goes first."""
PATIENCE = 1.0
"""Seconds in which a program that cannot start says so."""
FAREWELL = 10.0
"""Seconds that it may take to end in good order."""


class Monitor:
    """The programs of one run. A context manager: at its end they end, and they end with the process in any case."""

    def __init__(self, folder: Path) -> None:
        """Look for the programs, and for a free port for each that is there.

        Args:
            folder: what they read, and where they keep their data; made by `start`.
        """
        self.folder = folder
        self._programs = {name: find(commands) for name, commands in COMMANDS.items()}
        self._ports = {name: free_port(first) for name, first in FIRST_PORTS.items() if self._programs[name]}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def tell_ray(self) -> None:
        """Let the dashboard that Ray is about to start embed the charts; what the user has set stays."""
        for name in self._ports:
            os.environ.setdefault(TOLD[name], self._address(name))

    def start(self, session: Path | None, cluster: str | None = None) -> list[tuple[str, str]]:
        """Write what the programs read and start them.

        Args:
            session: folder of Ray's session, or ``None`` where there is none.
            cluster: address of the cluster that was joined, whose head alone knows what to scrape; ``None`` for Ray of
                one's own.

        Returns:
            What to show: a name and a line for each of the two.
        """
        write(self.folder, session, self._ports)
        for name, program in self._programs.items():
            if program is not None:
                self._launch(name, self._command(name, program))
        if self._processes:
            time.sleep(PATIENCE)
        lines = [(name, self._how_it_stands(name, cluster)) for name in COMMANDS]
        if cluster is not None and session is not None and not (session / DISCOVERY).exists():
            lines.append(
                ("monitor", "no charts: what to scrape is known on the cluster's head only; start the run there")
            )
        return lines

    def __enter__(self) -> Monitor:
        """Nothing starts yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what was started."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _command(self, name: str, program: Path) -> list[str]:
        if name == "grafana":
            return [
                str(program),
                *(["server"] if program.name == "grafana" else []),
                *("--homepath", str(grafana_home(program)), "--config", str(self.folder / "grafana.ini")),
            ]
        return [
            str(program),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--storage.tsdb.retention.size={DISK}",
            f"--web.listen-address={HOST}:{self._ports[name]}",
            "--log.level=warn",
        ]

    def _launch(self, name: str, command: Sequence[str]) -> None:
        # In a session of its own, so that Ctrl-C, after which the run still writes its front, does not reach it; and
        # told to end when this process does, however that is.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*bound, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _how_it_stands(self, name: str, cluster: str | None) -> str:
        if name not in self._processes:
            return f"not installed, so the run goes on without it ({ADVICE[name]})"
        if self._processes[name].poll() is not None:
            return f"it ended at once; {self.folder / f'{name}.log'} says why"
        return f"{self._address(name)} (from another machine first `{tunnel(cluster, self._ports[name])}`)"

    def _address(self, name: str) -> str:
        return f"http://{HOST}:{self._ports[name]}"


def write(folder: Path, session: Path | None, ports: Mapping[str, int]) -> None:
    """Write what Prometheus and Grafana read into a folder, also where they are not installed.

    Args:
        folder: made where it is missing; what is in it is written anew, data excepted.
        session: folder of Ray's session, or ``None`` where there is none, and nothing to scrape.
        ports: of the two by name; where one is missing, the usual one.
    """
    ports = {**FIRST_PORTS, **ports}
    boards = folder / "dashboards"
    provisioning = folder / "provisioning"
    for path in (boards, provisioning / "datasources", provisioning / "dashboards"):
        path.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "prometheus.yml", prometheus_settings(session))
    _write_json(boards / "dropin.json", grafana.dashboard())
    source = {
        **{"name": "Prometheus", "uid": grafana.SOURCE["uid"], "type": grafana.SOURCE["type"], "access": "proxy"},
        **{"url": f"http://{HOST}:{ports['prometheus']}", "isDefault": True, "jsonData": {"timeInterval": INTERVAL}},
    }
    _write_json(provisioning / "datasources" / "dropin.yml", {"apiVersion": 1, "datasources": [source]})
    folders = {"Dropin": boards}
    if session is not None:
        folders["Ray"] = session / "metrics" / "grafana" / "dashboards"  # those that Ray's own dashboard embeds
    providers = [
        {"name": name, "folder": name, "type": "file", "options": {"path": str(path)}} for name, path in folders.items()
    ]
    _write_json(provisioning / "dashboards" / "dropin.yml", {"apiVersion": 1, "providers": providers})
    (folder / "grafana.ini").write_text(grafana_settings(folder, ports["grafana"]), encoding="utf-8")


def prometheus_settings(session: Path | None) -> dict[str, Any]:
    """Read the endpoints of all nodes that Ray lists."""
    files = [] if session is None else [{"files": [str(session / DISCOVERY)], "refresh_interval": INTERVAL}]
    scrape = {"job_name": "ray", "file_sd_configs": files}
    return {"global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}, "scrape_configs": [scrape]}


def grafana_settings(folder: Path, port: int) -> str:
    """Look without logging in, change nothing: there is no administrator."""
    sections: dict[str, dict[str, object]] = {
        "server": {"http_addr": HOST, "http_port": port},
        "paths": {
            "data": folder / "grafana",
            "logs": folder / "grafana" / "log",
            "plugins": folder / "grafana" / "plugins",
            "provisioning": folder / "provisioning",
        },
        "security": {"allow_embedding": "true", "disable_initial_admin_creation": "true"},
        "auth": {"disable_login_form": "true"},
        "auth.anonymous": {"enabled": "true", "org_name": "Main Org.", "org_role": "Viewer"},
        "analytics": {"reporting_enabled": "false", "check_for_updates": "false", "check_for_plugin_updates": "false"},
        "dashboards": {"default_home_dashboard_path": folder / "dashboards" / "dropin.json"},
    }
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for section, values in sections.items()
    )


def find(commands: Sequence[str]) -> Path | None:
    """The first of these programs that is on the PATH."""
    return next((Path(found) for command in commands if (found := shutil.which(command))), None)


def free_port(first: int) -> int:
    """The first of a hundred ports of the loopback that nobody listens at; any other where all of them are taken."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def grafana_home(program: Path) -> Path:
    """Where Grafana's own files are: beside the program in an archive, in a folder of their own in a package."""
    beside = program.resolve().parent.parent
    return beside if (beside / "conf" / "defaults.ini").is_file() else Path("/usr/share/grafana")


def _write_json(path: Path, what: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")
