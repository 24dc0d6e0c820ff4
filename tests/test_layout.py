"""Who imports whom: the contracts of pyproject.toml hold, and each of them would be noticed if it did not."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import project_file

# For every contract one line that breaks it and the module that it is added to.
BREACHES = {
    "rooms": ("trainables/trial/plan.py", "import spaces.shared"),
    "search-rooms": ("search/runs/trial_log.py", "import search.tuning.study"),
    "trainables-rooms": ("trainables/storage/checkpoint.py", "import trainables.trial.plan"),
    "spaces": ("spaces/shared.py", "import numpy"),
    "surgery": ("trainables/surgery/grow.py", "import trainables.models.grnn"),
    "growth": ("trainables/growth/zero.py", "import trainables.trial.training"),
    "criteria": ("trainables/criteria/magnitude.py", "import trainables.audio.reading"),
    "metrics": ("trainables/metrics/eer.py", "import trainables.progress"),
    "ray-in-trainables": ("trainables/trial/training.py", "import ray"),
    "ray-in-reports": ("search/page/costs.py", "import search.cluster.ray_cluster"),
    "pareto": ("search/runs/pareto.py", "import pandas"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache", "--config", "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},  # names of contracts are not broken into lines
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The packages and pyproject.toml in a folder of their own."""
    for package in project_file.PACKAGES:
        shutil.copytree(project_file.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(project_file.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold() -> None:
    result = lint(project_file.ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_notices_a_breach(copied: Path) -> None:
    contracts = {one["id"]: one["name"] for one in project_file.read()["tool"]["importlinter"]["contracts"]}
    assert set(BREACHES) == set(contracts)
    for file, line in BREACHES.values():
        with (copied / file).open("a", encoding="utf-8") as module:
            module.write(f"\n{line}\n")
    result = lint(copied)
    assert result.returncode == 1, result.stdout + result.stderr
    kept = [name for name in contracts.values() if not re.search(rf"{re.escape(name)}\s+BROKEN", result.stdout)]
    assert not kept, result.stdout


def test_spaces_import_the_standard_library_only() -> None:
    allowed = {*sys.stdlib_module_names, "spaces"}
    for file in sorted((project_file.ROOT / "spaces").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            assert {name.split(".")[0] for name in names} <= allowed, f"{file}, line {node.lineno}"
