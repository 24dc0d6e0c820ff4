"""What is installed: every module and every file, under names that nothing else takes, with all that it imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from setuptools import find_packages

import project_file

ROOT = project_file.ROOT
PYPROJECT = project_file.read()
DEPENDENCIES = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
BENCHMARKING = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["bench"]]
TESTING = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["test"]]


def files() -> Iterator[Path]:
    """Every file of the packages, relative to the root."""
    for package in project_file.PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT)


def imported(*folders: str) -> set[str]:
    """Top-level names of third parties that the modules under these folders import."""
    names: set[str] = set()
    for file in sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    beside = {path.stem for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")}
    own = {*project_file.PACKAGES, *beside}
    return names - set(sys.stdlib_module_names) - own


def normal(name: str) -> str:
    """A distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def providers() -> dict[str, set[str]]:
    """Which installed distributions provide each top-level name."""
    known: dict[str, set[str]] = {}
    for distribution in distributions():
        tops = {file.parts[0] for file in distribution.files or ()}
        name = normal(distribution.metadata["Name"])
        for top in tops:
            known.setdefault(top.removesuffix(".py"), set()).add(name)
    return known


def test_every_module_is_packaged() -> None:
    options = PYPROJECT["tool"]["setuptools"]["packages"]["find"]
    assert options["namespaces"] is False
    found = set(find_packages(str(ROOT), include=options["include"]))
    assert {name.split(".")[0] for name in found} == set(project_file.PACKAGES)
    folders = {".".join(path.parent.parts) for path in files()}
    assert folders == found, "a folder without __init__.py, or one that pyproject.toml leaves out"


def test_every_other_file_is_packaged() -> None:
    data = PYPROJECT["tool"]["setuptools"].get("package-data", {})
    for path in files():
        patterns = data.get(".".join(path.parent.parts), [])
        assert path.suffix == ".py" or any(path.match(pattern) for pattern in patterns), f"package-data lacks {path}"


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    known = providers()
    declared = {normal(one.name) for one in DEPENDENCIES}
    # An extra that one command needs for its controls, and does without where it is not installed.
    optional = {"peft"} & {normal(one.name) for one in BENCHMARKING}
    used = set()
    for name in imported(*project_file.PACKAGES) - optional:
        assert known.get(name, set()) & declared, f"{name} is imported, but nothing that provides it is declared"
        used |= known[name]
    assert declared <= used, "declared, but never imported"


def test_what_tests_import_is_declared() -> None:
    known = providers()
    # Ray and pytest bring these, at versions that they choose.
    brought = {"pyyaml", "jsonschema", "packaging"}
    declared = {normal(one.name) for one in [*DEPENDENCIES, *TESTING]} | brought
    for name in imported("tests") - {"tomllib", "tomli"}:
        assert known.get(name, set()) & declared, f"{name} is imported, but nothing that provides it is declared"
    # What only benchmarks need is not installed for tests, so it goes by its name.
    more = {normal(one.name) for one in BENCHMARKING}
    for name in imported("benchmarks"):
        provided = known.get(name, set()) & declared or {normal(name)} & more
        assert provided, f"{name} is imported, but nothing that provides it is declared"


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=lambda one: one.name)
def test_every_dependency_has_a_bound_and_a_reason(requirement: Requirement) -> None:
    assert {one.operator for one in requirement.specifier} & {">=", "=="}
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith(f'"{requirement}"'))
    assert "#" in lines[at] or lines[at - 1].strip().startswith("#")


def test_this_python_is_admitted() -> None:
    assert SpecifierSet(PYPROJECT["project"]["requires-python"]).contains("{}.{}.{}".format(*sys.version_info[:3]))


def test_a_package_of_the_same_name_does_not_win_from_the_root(tmp_path: Path) -> None:
    # There is a `spaces` on PyPI.
    for package in project_file.PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('not ours')\n", encoding="utf-8")
    code = f"import {', '.join(project_file.PACKAGES)}; print(spaces.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(shown.stdout.strip()) == ROOT / "spaces" / "__init__.py"
