"""The cluster files: what Ray says of them, and what we ask of them beyond that."""

from __future__ import annotations

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import project_file

AWS = project_file.ROOT / "cluster.yaml"
FILES = [AWS, *sorted((project_file.ROOT / "clusters").glob("*.yaml"))]
CLOUDS = [file for file in FILES if file.stem != "on-premise"]
TOKEN = "~/.ray/auth_token"
PROJECT = project_file.read()["project"]


def prepared(file: Path) -> dict[str, Any]:
    """A file as Ray completes it before `ray up` asks the provider anything."""
    from ray.autoscaler._private.util import prepare_config

    found: dict[str, Any] = prepare_config(yaml.safe_load(file.read_text(encoding="utf-8")))
    return found


@pytest.fixture(params=FILES, ids=lambda file: str(file.stem))
def file(request: pytest.FixtureRequest) -> Path:
    """Every cluster file."""
    found: Path = request.param
    return found


@pytest.fixture
def config(file: Path) -> dict[str, Any]:
    return prepared(file)


@pytest.fixture(params=CLOUDS, ids=lambda file: str(file.stem))
def cloud(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Those whose machines come and go."""
    return prepared(request.param)


@pytest.fixture
def aws() -> dict[str, Any]:
    return prepared(AWS)


def images(config: dict[str, Any]) -> list[tuple[Version, Version]]:
    """Ray's and Python's versions of the images, read off tags such as ``2.60.0-py311-gpu``."""
    found = []
    for kind in ("head_image", "worker_image"):
        name, tag = config["docker"][kind].split(":")
        ray, python, _ = tag.split("-")
        assert name == "rayproject/ray"
        found.append((Version(ray), Version(f"{python[2]}.{python[3:]}")))
    return found


def test_there_is_one_for_every_provider() -> None:
    assert [yaml.safe_load(file.read_text(encoding="utf-8"))["provider"]["type"] for file in FILES] == [
        "aws",
        "gcp",
        "local",
    ]


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config(config)


@pytest.mark.parametrize("path", [("max_workers",), ("available_node_types", "head", "resources", "CPU")])
def test_ray_refuses_a_wrong_type(cloud: dict[str, Any], path: tuple[str, ...]) -> None:
    from ray.autoscaler._private.util import validate_config

    broken = copy.deepcopy(cloud)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "many"
    with pytest.raises(jsonschema.ValidationError):
        validate_config(broken)


def started(commands: list[str]) -> list[list[str]]:
    """The words of the commands that start Ray."""
    return [shlex.split(command) for command in commands if "ray start" in command]


def test_head_takes_no_trials(config: dict[str, Any]) -> None:
    if config["provider"]["type"] == "local":
        (words,) = started(config["head_start_ray_commands"])
        assert {"--num-cpus=0", "--num-gpus=0"} <= set(words)
        return
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert head["max_workers"] == 0


def test_workers_are_spot_and_go_when_idle(cloud: dict[str, Any]) -> None:
    workers = {name: node for name, node in cloud["available_node_types"].items() if name != cloud["head_node_type"]}
    assert workers
    for node in workers.values():
        assert node["min_workers"] == 0 < node["max_workers"] <= cloud["max_workers"]
        if cloud["provider"]["type"] == "aws":
            assert node["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        else:
            assert {"preemptible": True} in node["node_config"]["scheduling"]
            assert node["resources"]["GPU"] > 0
    assert 0 < cloud["idle_timeout_minutes"] <= 30


def test_machines_of_ones_own_are_all_taken() -> None:
    config = yaml.safe_load((project_file.ROOT / "clusters" / "on-premise.yaml").read_text(encoding="utf-8"))
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_on_demand_workers_can_be_switched_on(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    start = text.index("    # gpu-on-demand:")
    block = text[start : text.index("\n\n", start)]
    switched = text.replace(block, block.replace("    # ", "    "))
    nodes = yaml.safe_load(switched)["available_node_types"]
    spot, kept = nodes["gpu-spot"]["node_config"], nodes["gpu-on-demand"]["node_config"]
    assert "InstanceMarketOptions" not in kept
    assert {"preemptible": True} not in kept.get("scheduling", [])
    for key in set(spot) - {"InstanceMarketOptions", "scheduling"}:
        if key in kept or key in ("ImageId", "machineType"):
            assert kept[key] == spot[key]


def test_nothing_listens_to_everyone(file: Path, config: dict[str, Any]) -> None:
    assert "0.0.0.0" not in file.read_text(encoding="utf-8")
    (words,) = started(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in words


def test_a_token_is_asked_for_on_every_node(config: dict[str, Any]) -> None:
    assert config["file_mounts"][TOKEN] == TOKEN
    if config["docker"]:
        assert "-e RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    else:  # what every shell reads, that of `ray start` among them
        for commands in (config["head_setup_commands"], config["worker_setup_commands"]):
            assert any("RAY_AUTH_MODE=token" in command and "~/.bashrc" in command for command in commands)


def test_the_token_is_closed_to_others_and_open_to_ray(config: dict[str, Any]) -> None:
    for commands in (config["head_setup_commands"], config["worker_setup_commands"]):
        if config["docker"]:  # whose user may not be the one that the file came to
            assert commands[0].startswith(f"test -r {TOKEN} || ")
        else:
            assert commands[0] == f"chmod 600 {TOKEN}"


def test_nothing_is_reported_to_anybody(config: dict[str, Any]) -> None:
    # `ray up` sets the variable for this itself, as it is on the user's own machine.
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    starts = [command for command in commands if "ray start" in command and "pkill -KILL -f" not in command]
    assert len(starts) == 2
    assert all("--disable-usage-stats" in command for command in starts)


def test_mounted_paths_exist(config: dict[str, Any]) -> None:
    for local in config["file_mounts"].values():
        assert local == TOKEN or (project_file.ROOT / local).exists(), local


def test_versions_are_those_of_the_project(cloud: dict[str, Any]) -> None:
    requirements = {Requirement(line).name: Requirement(line) for line in PROJECT["dependencies"]}
    for ray, python in images(cloud):
        assert requirements["ray"].specifier.contains(ray)
        assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    assert len(set(images(cloud))) == 1


def test_dependencies_are_those_of_the_project(config: dict[str, Any]) -> None:
    for commands in (config["head_setup_commands"], config["worker_setup_commands"]):
        installed = [shlex.split(command) for command in commands if "pip install" in command]
        words = [word for word in installed[0] if word != "--quiet"]
        assert words[0].endswith("pip")
        assert words[1:] == ["install", *PROJECT["dependencies"]]


def test_machine_images_are_pinned(aws: dict[str, Any]) -> None:
    found = {node["node_config"].get("ImageId") for node in aws["available_node_types"].values()}
    assert len(found) == 1
    assert found.pop().startswith("ami-")


def test_storage_is_named_once(file: Path, config: dict[str, Any]) -> None:
    text = file.read_text(encoding="utf-8")
    if config["provider"]["type"] == "local":
        assert "one file system at /mnt/dropin" in text
        return
    share = r"\bfs-[0-9a-f]{8,}" if config["provider"]["type"] == "aws" else r"\b192\.0\.2\.2:/dropin\b"
    assert len(re.findall(share, text)) == 1
    assert any(re.search(share + r".* /mnt/dropin", command) for command in config["initialization_commands"])
    assert "-v /mnt/dropin:/mnt/dropin" in config["docker"]["run_options"]
