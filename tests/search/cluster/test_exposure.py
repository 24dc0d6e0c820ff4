"""What a run opens to others: sockets beyond loopback, a token in its folder, pickles that somebody laid there."""

from __future__ import annotations

import ipaddress
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carrying_out import PLAIN, carry_out
from project_file import HELPERS, ROOT
from search.cluster import ray_cluster
from search.cluster.ray_cluster import Cluster, local_ray
from search.settings.options import Settings

TOKEN = "0123456789abcdef" * 4


def run(script: str, *arguments: str) -> str:
    """What a script of this folder prints that meets Ray as a user's process does, with a token that we know."""
    ours = {
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_AUTH_MODE": "token",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS}",
    }
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, str(HELPERS / script), *arguments]
    done = subprocess.run(command, env={**bare, **ours}, capture_output=True, text=True, check=False, cwd=HELPERS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False)],
)
def test_which_addresses_are_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_on_one_machine_nothing_is_open_to_others() -> None:
    found = json.loads(run("run_listening.py").splitlines()[-1])
    assert found["dashboard"].startswith("http://127.0.0.1:")
    programs = found["listening"]
    assert {"gcs_server", "raylet"} <= set(programs)
    beyond = {
        name: [one for one in addresses if not is_loopback(one.split()[0])] for name, addresses in programs.items()
    }
    assert not any(beyond.values()), beyond
    # Ray opens its folder to everybody, so it has to lie in one that is closed.
    assert Path(found["folder"]).parent.stat().st_mode & 0o077 == 0


class Bomb:
    """Unpickling one leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("linked", [False, True])
def test_pickles_in_tunes_folder_are_never_loaded(
    linked: bool, settings: Settings, workers: Cluster, tmp_path: Path
) -> None:
    trace, place = tmp_path / "trace", settings.paths.tune
    alone = replace(workers, concurrent=1)
    first = carry_out(replace(settings, trials=2), alone, recipes={"plain": PLAIN})
    planted = tmp_path / "elsewhere" if linked else place
    (planted / "7").mkdir(parents=True)
    if linked:
        place.symlink_to(planted)
    content = pickle.dumps(Bomb(trace))
    state = json.dumps({"trial_data": [], "runner_data": {"__type": "CLOUDPICKLE_FALLBACK", "value": content.hex()}})
    for name in ("tuner.pkl", "trainable.pkl", "searcher-state-2026.pkl", "search_gen_state-2026.pkl", "7/params.pkl"):
        (planted / name).write_bytes(content)
    (planted / "experiment_state-2026.json").write_text(state)
    both = carry_out(settings, alone, recipes={"plain": PLAIN})
    assert (len(first), len(both)) == (2, 6)
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists()


def test_how_to_log_in_is_told_without_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setattr(local_ray, "TEMP_ROOT", tmp_path)
    known = {"dashboard_url": "127.0.0.1:8265", "address_info": {"session_dir": str(tmp_path)}}
    context = type("Context", (), known)()
    monkeypatch.setattr(ray, "init", lambda *given, **named: context)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    place = ray_cluster.init_ray(None, cpus_per_trial=1, gpus_per_trial=0)
    assert "get-auth-token" in (place.login or "")
    assert TOKEN not in repr(place)
