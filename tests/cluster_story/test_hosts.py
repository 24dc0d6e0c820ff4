"""Machines of a test: each sees the others by name and through SSH, keeps its own files, and can be cut off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts import HOME, SHARED, Hosts, missing

REASON = missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    keep = [Path(sys.prefix), Path(sys.base_prefix)]
    with Hosts(tmp_path_factory.mktemp("hosts"), ("laptop", "head", "worker"), keep) as made:
        yield made


def ssh(hosts: Hosts, name: str, command: str) -> str:
    options = f"-i {hosts.key} -o ConnectTimeout=2 -o StrictHostKeyChecking=no -o LogLevel=ERROR"
    return hosts.run("laptop", f"ssh {options} root@{hosts.addresses[name]} '{command}'").stdout.strip()


def test_each_has_a_name_and_a_home_of_its_own(hosts: Hosts) -> None:
    for name in ("head", "worker"):
        assert ssh(hosts, name, "hostname; cd; pwd; echo here > file") == f"{name}\n{HOME}"
        assert (hosts.folder / name / "home" / "file").read_text() == "here\n"
    assert hosts.run("laptop", "hostname; ls").stdout == "laptop\n"


def test_they_share_one_folder_and_the_python_of_the_tests(hosts: Hosts) -> None:
    ssh(hosts, "head", f"echo all > {SHARED}/file")
    assert ssh(hosts, "worker", f"cat {SHARED}/file") == "all"
    assert ssh(hosts, "worker", f'{sys.executable} -c "print(6 * 7)"') == "42"


def test_one_that_is_cut_off_comes_back(hosts: Hosts) -> None:
    hosts.cut("worker")
    assert "onnect" in ssh(hosts, "worker", "hostname")
    assert ssh(hosts, "head", "hostname") == "head"
    hosts.mend("worker")
    assert ssh(hosts, "worker", "hostname") == "worker"


def test_what_was_started_through_ssh_is_known(hosts: Hosts) -> None:
    ssh(hosts, "head", "nohup sleep 60 > /dev/null 2>&1 &")
    assert "sleep" in [process.name() for process in hosts.processes("head")]
    assert "sleep" not in [process.name() for process in hosts.processes("worker")]
