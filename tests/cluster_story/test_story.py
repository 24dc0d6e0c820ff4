"""The whole story of a cluster on machines of one's own: `ray up`, runs on all of them, a machine lost, `ray down`.

Three hosts beside the user's, made by `hosts`, and ``clusters/on-premise.yaml`` with their addresses. The packages are
not installed anew on every host, but seen in the environment of the tests; all else is done as the file's head says.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml

import project_file
from hosts import SHARED, Hosts, missing
from search.runs import trial_log
from search.runs.record import Record

WORKERS = ("worker-1", "worker-2")
PATIENCE = 150.0
RUN = "--space plasticity --corpus synthetic --model-option width=8 --base-epochs 1 --address auto --gpus-per-trial 0"
PLACES = f"--storage {SHARED}/runs --cache {SHARED}/cache"
RAY = ("/raylet", "/gcs_server", "ray::", "/ray/dashboard/", "/_private/", "ray start")
"""What is in the command lines of Ray's processes."""
REASON = missing() if os.environ.get("DROPIN_CLUSTER") else "takes minutes: run by make test-cluster"
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


class RayProcess(NamedTuple):
    """One that runs."""

    pid: int
    name: str


class Story:
    """What a user has: hosts, a cluster file, and a terminal on the first host."""

    def __init__(self, hosts: Hosts, file: Path) -> None:
        self.hosts, self.file = hosts, file
        self.python = Path(sys.executable)
        self.environment = {
            "PATH": f"{self.python.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_AUTH_MODE": "token",
        }

    def type(self, command: str, timeout: float = PATIENCE) -> str:
        """A command in the project's folder on the user's host; what it prints. It must end well."""
        done = self.hosts.run("laptop", f"cd {project_file.ROOT} && {command}", env=self.environment, timeout=timeout)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
        return done.stdout

    def on_head(self, command: str, timeout: float = PATIENCE) -> str:
        """A command on the cluster's head, by way of `ray exec`."""
        return self.type(f"ray exec {self.file} {command!r}", timeout)

    def records(self, name: str) -> dict[int, Record]:
        """The trials of a run that ended so far."""
        return trial_log.read(self.hosts.folder / "shared" / "runs" / name / "trials.jsonl")

    def is_whole(self) -> bool:
        """Whether Ray runs on all workers, and the head knows, which takes a while to miss a lost one."""
        if not all(self.raylets().values()):
            return False
        told = self.on_head("ray list nodes --format json")
        return told.count('"state": "ALIVE"') == 1 + len(WORKERS)

    def raylets(self) -> dict[str, list[int]]:
        """The process of every worker that makes it one."""
        found = {name: [p for p in self.ray_processes(name) if p.name == "raylet"] for name in WORKERS}
        return {name: [process.pid for process in processes] for name, processes in found.items()}

    def ray_processes(self, host: str) -> list[RayProcess]:
        """Ray's processes on a host."""
        found = []
        for process in self.hosts.processes(host):
            try:
                line = " ".join(process.cmdline())
                if any(part in line for part in RAY):
                    found.append(RayProcess(process.pid, process.name()))
            except psutil.NoSuchProcess:
                continue
        return found

    def front(self, name: str) -> list[int]:
        """The numbers of the trials on a run's front, by its table."""
        import pyarrow.parquet as pq

        folder = self.hosts.folder / "shared" / "runs" / name
        found: list[int] = pq.read_table(folder / "front.parquet").column("number").to_pylist()
        assert all((folder / "detectors" / str(number)).is_dir() for number in found)
        return found


def wait_for(what: Callable[[], Any], patience: float = PATIENCE, every: float = 0.5) -> Any:
    until = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < until, f"{what.__name__} does not come true"
        time.sleep(every)
    return found


def cluster_file(hosts: Hosts, packages: Path) -> dict[str, Any]:
    """The on-premise file with the hosts' addresses; each host looks for packages where they are."""
    text = (project_file.ROOT / "clusters" / "on-premise.yaml").read_text(encoding="utf-8")
    text = text.replace("ray start --address", "ray start --num-gpus=1 --address")  # which Ray takes on trust
    text = text.replace("python3.11 -m venv", f"{sys.executable} -m venv --without-pip")
    config: dict[str, Any] = yaml.safe_load(text)
    config["provider"] |= {
        "head_ip": hosts.addresses["head"],
        "worker_ips": [hosts.addresses[name] for name in WORKERS],
    }
    config["auth"] = {"ssh_user": "root", "ssh_private_key": str(hosts.key)}
    (install,) = (command for command in config["setup_commands"] if "pip install" in command)
    own = f"~/dropin-venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    ray = "~/dropin-venv/bin/ray"
    script = r"#!%s/dropin-venv/bin/python\nfrom ray.scripts.scripts import main\nmain()\n"
    instead = f"echo {packages} > {own}/base.pth; printf '{script}' \"$HOME\" > {ray}; chmod +x {ray}"
    config["setup_commands"][config["setup_commands"].index(install)] = instead
    config["worker_setup_commands"] = ["test -e ~/late || sleep 20; touch ~/late"]  # as an installation does, once
    return config


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A cluster that is up."""
    import ray

    folder = tmp_path_factory.mktemp("hosts")
    keep = [project_file.ROOT, Path(sys.prefix), Path(sys.base_prefix)]
    with Hosts(folder, ("laptop", "head", *WORKERS), keep) as hosts:
        file = folder / "cluster.yaml"
        file.write_text(yaml.safe_dump(cluster_file(hosts, Path(ray.__file__).parent.parent)))
        told = Story(hosts, file)
        told.type("ray get-auth-token --generate > ~/token")
        told.type(f"ray up {file} -y --no-config-cache", timeout=240)
        yield told


def test_a_run_by_exec_waits_for_the_workers_and_uses_each(story: Story) -> None:
    story.type(f"ray rsync-up {story.file} ./ '~/project/'")
    words = f"cd ~/project && python -m search.run {RUN} {PLACES} --name by-exec --trials 12 --epochs 4"
    assert not any(story.raylets().values())
    story.on_head(words, timeout=400)
    records = story.records("by-exec")
    assert len(records) == 12
    assert {record.node for record in records.values()} == {story.hosts.addresses[name] for name in WORKERS}
    assert story.front("by-exec")


def test_all_hosts_join(story: Story) -> None:
    wait_for(story.is_whole, every=2)
    assert all(story.ray_processes(name) for name in ("head", *WORKERS))


def test_without_the_token_nobody_gets_in(story: Story) -> None:
    wrong = {**story.environment, "RAY_AUTH_TOKEN": "0" * 64}
    refused = story.hosts.run(
        "laptop", f"ray status --address {story.hosts.addresses['head']}:6379", env=wrong, timeout=60
    )
    assert refused.returncode != 0
    listening = story.hosts.run("head", "cat /proc/net/tcp", timeout=10).stdout
    loopback = [line for line in listening.splitlines() if ":2049 " in line.split()[1] + " "]  # 8265 in hexadecimal
    assert all(line.split()[1].startswith("0100007F:") for line in loopback)


def test_trials_share_gpus(story: Story) -> None:
    words = f"cd ~/project && python -m search.run {RUN} {PLACES} --name shared --trials 6 --epochs 2"
    told = story.on_head(words.replace("--gpus-per-trial 0", "--gpus-per-trial 0.5"), timeout=400)
    assert f"{2 * min(2, os.cpu_count() or 1)} at once" in told  # two GPUs, half of one each, and a core
    assert {record.gpus for record in story.records("shared").values()} == {0.5}
    refused = words.replace("--gpus-per-trial 0", "--gpus-per-trial 2").replace("shared", "too-many")
    command = f"ray exec {story.file} {refused!r}"
    done = story.hosts.run("laptop", f"cd {project_file.ROOT} && {command}", env=story.environment, timeout=120)
    assert done.returncode != 0
    assert "lower --cpus-per-trial or --gpus-per-trial" in " ".join(done.stdout.split())


def test_a_run_by_job_submit(story: Story) -> None:
    log = story.hosts.folder / "dashboard.log"
    tunnel = story.hosts.start("laptop", f"ray dashboard {story.file} -p 8265", log, story.environment)
    try:
        knock = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8265/api/version"
        wait_for(lambda: story.hosts.run("laptop", knock).stdout.strip() in ("200", "401", "403"))
        command = f"python -m search.run {RUN} {PLACES} --name by-job --trials 5 --epochs 2"
        ask = "ray job submit --address http://127.0.0.1:8265 --working-dir . --"
        told = story.type(f"{ask} {command}", timeout=400)
    finally:
        tunnel.terminate()
        tunnel.wait()
    assert "succeeded" in told
    assert len(story.records("by-job")) == 5
    token = story.hosts.run("laptop", "cat ~/token").stdout.strip()
    assert token
    assert token not in told


def test_a_second_up_does_no_harm(story: Story) -> None:
    before = story.raylets()
    assert all(len(found) == 1 for found in before.values())
    story.type(f"ray up {story.file} -y --no-restart --no-config-cache", timeout=240)
    assert story.raylets() == before
    assert story.is_whole()


@pytest.mark.parametrize("how", ["killed", "cut"])
def test_what_a_lost_host_was_doing_goes_on_elsewhere(story: Story, how: str) -> None:
    wait_for(story.is_whole, every=2)
    lost, other = (story.hosts.addresses[host] for host in WORKERS)
    name = f"node-{how}"
    words = f"cd ~/project && python -m search.run {RUN} {PLACES} --name {name} --trials 16 --epochs 8"
    log = story.hosts.folder / f"{name}.log"
    run = story.hosts.start("laptop", f"ray exec {story.file} {words!r}", log, story.environment)
    try:
        wait_for(lambda: lost in [record.node for record in story.records(name).values()], every=0.1)
        if how == "killed":
            for process in story.hosts.processes(WORKERS[0]):
                with suppress(psutil.NoSuchProcess):  # the death of one takes others with it
                    process.kill()
        else:
            story.hosts.cut(WORKERS[0])
        already = len(story.records(name))
        assert run.wait(400) == 0, log.read_text()[-3000:]
    finally:
        if how == "cut":
            story.hosts.mend(WORKERS[0])
        run.kill()
    records = story.records(name)
    assert sorted(records) == list(range(16))
    assert not [record.error for record in records.values() if record.error]
    last = sorted(records.values(), key=lambda record: record.ended or 0.0)[already + 1 :]  # one was being written
    assert {record.node for record in last} == {other}
    assert story.front(name)


def test_lost_hosts_come_back(story: Story) -> None:
    wait_for(story.is_whole, every=2)
    name = "all-again"
    # Trials long enough that those of one host are not all over before the other, where Ray is fresh, begins.
    words = f"cd ~/project && python -m search.run {RUN} {PLACES} --name {name} --trials 8 --epochs 16"
    story.on_head(words, timeout=400)
    assert {record.node for record in story.records(name).values()} == {story.hosts.addresses[one] for one in WORKERS}


def test_the_front_is_exported_on_the_users_host(story: Story) -> None:
    story.type(f"python -m search.export {SHARED}/runs/by-exec --to ~/front")
    front = story.hosts.folder / "laptop" / "home" / "front"
    assert (front / "front.csv").is_file()
    assert json.loads((front / "export.json").read_text())


def test_down_leaves_nothing_behind(story: Story) -> None:
    story.type(f"ray up {story.file} -y --no-config-cache", timeout=240)  # which starts Ray anew everywhere
    wait_for(story.is_whole, every=2)
    story.type(f"ray down -y {story.file}")
    for name in ("head", *WORKERS):
        assert wait_for(lambda name=name: not story.ray_processes(name))  # type: ignore[misc]
