"""The cluster file: what Ray says of it, and what we ask of it beyond that."""

from __future__ import annotations

import copy
import re
import shlex
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import project_file

FILE = project_file.ROOT / "cluster.yaml"
TOKEN = "~/.ray/auth_token"
PROJECT = project_file.read()["project"]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The file as Ray completes it before `ray up` asks the provider anything."""
    from ray.autoscaler._private.util import prepare_config

    prepared: dict[str, Any] = prepare_config(yaml.safe_load(FILE.read_text(encoding="utf-8")))
    return prepared


def images(config: dict[str, Any]) -> list[tuple[Version, Version]]:
    """Ray's and Python's versions of the images, read off tags such as ``2.60.0-py311-gpu``."""
    found = []
    for kind in ("head_image", "worker_image"):
        name, tag = config["docker"][kind].split(":")
        ray, python, _ = tag.split("-")
        assert name == "rayproject/ray"
        found.append((Version(ray), Version(f"{python[2]}.{python[3:]}")))
    return found


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config(config)


@pytest.mark.parametrize("path", [("max_workers",), ("available_node_types", "head", "resources", "CPU")])
def test_ray_refuses_a_wrong_type(config: dict[str, Any], path: tuple[str, ...]) -> None:
    from ray.autoscaler._private.util import validate_config

    broken = copy.deepcopy(config)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "many"
    with pytest.raises(jsonschema.ValidationError):
        validate_config(broken)


def test_head_takes_no_trials(config: dict[str, Any]) -> None:
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert head["max_workers"] == 0


def test_workers_are_spot_and_go_when_idle(config: dict[str, Any]) -> None:
    workers = {name: node for name, node in config["available_node_types"].items() if name != config["head_node_type"]}
    assert workers
    for node in workers.values():
        assert node["min_workers"] == 0 < node["max_workers"] <= config["max_workers"]
        assert node["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert 0 < config["idle_timeout_minutes"] <= 30


def test_on_demand_workers_can_be_switched_on() -> None:
    text = FILE.read_text(encoding="utf-8")
    start = text.index("    # gpu-on-demand:")
    block = text[start : text.index("\n\n", start)]
    switched = text.replace(block, block.replace("    # ", "    "))
    nodes = yaml.safe_load(switched)["available_node_types"]
    assert "InstanceMarketOptions" not in nodes["gpu-on-demand"]["node_config"]
    assert nodes["gpu-on-demand"]["node_config"]["ImageId"] == nodes["gpu-spot"]["node_config"]["ImageId"]


def test_nothing_listens_to_everyone(config: dict[str, Any]) -> None:
    assert "0.0.0.0" not in FILE.read_text(encoding="utf-8")
    for command in config["head_start_ray_commands"]:
        if "ray start" in command:
            assert "--dashboard-host=127.0.0.1" in shlex.split(command)


def test_a_token_is_asked_for_on_every_node(config: dict[str, Any]) -> None:
    assert "-e RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"][TOKEN] == TOKEN


def test_mounted_paths_exist(config: dict[str, Any]) -> None:
    for local in config["file_mounts"].values():
        assert local == TOKEN or (project_file.ROOT / local).exists(), local


def test_versions_are_those_of_the_project(config: dict[str, Any]) -> None:
    requirements = {Requirement(line).name: Requirement(line) for line in PROJECT["dependencies"]}
    for ray, python in images(config):
        assert requirements["ray"].specifier.contains(ray)
        assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    assert len(set(images(config))) == 1


def test_dependencies_are_those_of_the_project(config: dict[str, Any]) -> None:
    for commands in (config["head_setup_commands"], config["worker_setup_commands"]):
        assert shlex.split(commands[0]) == ["pip", "install", *PROJECT["dependencies"]]


def test_machine_images_are_pinned(config: dict[str, Any]) -> None:
    found = {node["node_config"].get("ImageId") for node in config["available_node_types"].values()}
    assert len(found) == 1
    assert found.pop().startswith("ami-")


def test_storage_is_named_once(config: dict[str, Any]) -> None:
    assert len(re.findall(r"\bfs-[0-9a-f]{8,}", FILE.read_text(encoding="utf-8"))) == 1
    assert any(" fs-" in command and "/mnt/dropin" in command for command in config["initialization_commands"])
    assert "-v /mnt/dropin:/mnt/dropin" in config["docker"]["run_options"]
