"""Nothing that a user loads is unpickled or run: no module calls what would, and a scan that misses none says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import project_file

FORBIDDEN = re.compile(
    r"(_?pickle|cloudpickle|ray\.cloudpickle|dill|marshal|shelve|joblib|jsonpickle)\.(loads?|Unpickler|open|decode)"
    r"|pandas\.read_pickle|torch\.(jit\.load|hub\..*|package\..*)|(.*\.)?PackageImporter"
    r"|yaml\.(load|load_all|unsafe_load.*|full_load.*)|ray\.tune\.(Tuner\.(restore|can_restore)|ExperimentAnalysis)"
    r"|eval|exec|builtins\.(eval|exec)|os\.(system|popen)|shutil\.unpack_archive|(.*\.)?(extractall|unsafe_load)"
)
"""Names that are not used at all, whoever calls them."""
NEEDED: Mapping[str, tuple[str, object]] = {
    "torch.load": ("weights_only", True),
    r".*\.from_pretrained": ("weights_only", True),
}
"""Calls that need a keyword with this very value."""
REFUSED: Mapping[str, object] = {"allow_pickle": True, "trust_remote_code": True, "shell": True}
"""Keywords that no call may give but as False."""
EXEMPT = {
    # Chunks of work that the very process pickled, in memory that it shares with its children.
    ("trainables/features/processes.py", "pickle.loads"),
}


def scan(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything in a module that could run what a file says."""
    tree = ast.parse(source)
    meant = dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            name = _dotted(node, meant)
            if name and FORBIDDEN.fullmatch(name):
                yield node.lineno, name
        elif isinstance(node, ast.Call):
            yield from _calls(node, _dotted(node.func, meant) or "")


def _calls(node: ast.Call, name: str) -> Iterator[tuple[int, str]]:
    given = {one.arg: one.value.value if isinstance(one.value, ast.Constant) else one for one in node.keywords}
    for called, (keyword, value) in NEEDED.items():
        if re.fullmatch(called, name) and given.get(keyword) is not value:
            yield node.lineno, f"{name} without {keyword}={value}"
    for keyword in REFUSED:
        if given.get(keyword, False) is not False:
            yield node.lineno, f"{name} with {keyword}"


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What a name of the module stands for, for everything that is imported in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((one.asname, one.name) for one in node.names if one.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((one.asname or one.name, f"{node.module}.{one.name}") for one in node.names)


def _dotted(node: ast.AST, meant: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return meant.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, meant) or ''}.{node.attr}"
    return None


def modules() -> list[Path]:
    folders = (*project_file.PACKAGES, "benchmarks")
    return sorted(path for folder in folders for path in (project_file.ROOT / folder).rglob("*.py"))


def test_no_module_runs_what_a_file_says() -> None:
    assert len(modules()) > 80
    found = {
        (path.relative_to(project_file.ROOT).as_posix(), name)
        for path in modules()
        for _, name in scan(path.read_text(encoding="utf-8"))
    }
    assert found == EXEMPT


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle\npickle.load(file)",
        "import pickle as p\nfind = p.loads",
        "from pickle import loads as read\nread(data)",
        "import pickle\nclass Mine(pickle.Unpickler): pass",
        "from ray import cloudpickle\ncloudpickle.loads(data)",
        "import ray\nray.cloudpickle.load(file)",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch\ntorch.load(path, weights_only=sure)",
        "from torch import load\nload(path)",
        "import torch\ntorch.jit.load(path)",
        "import torch\ntorch.hub.load_state_dict_from_url(url)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, allow_pickle=maybe)",
        "import joblib\njoblib.load(path)",
        "import shelve\nshelve.open(path)",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "from transformers import AutoModel\nAutoModel.from_pretrained(name)",
        "from transformers import Some\nSome.from_pretrained(name, weights_only=True, trust_remote_code=True)",
        "from ray import tune\ntune.Tuner.restore(path, trainable)",
        "from ray.tune import Tuner\nTuner.restore(path, trainable)",
        "import tarfile\ntarfile.open(path).extractall(folder)",
        "import subprocess\nsubprocess.run(line, shell=True)",
        "import os\nos.system(line)",
        "def f():\n    return eval(text)",
    ],
)
def test_what_is_planted_is_found(planted: str) -> None:
    assert list(scan(planted))


@pytest.mark.parametrize(
    "harmless",
    [
        "import json, torch\njson.loads(text)\nmodule.eval()\ntorch.load(path, weights_only=True)",
        "import pickle\npickle.dumps(value)",
        "import numpy as np\nnp.load(path, allow_pickle=False)\nnp.load(path)",
        "import safetensors.torch\nsafetensors.torch.load(data)",
        "import yaml\nyaml.safe_load(text)",
        "scheduler.restore(path)",
    ],
)
def test_what_is_harmless_is_passed_over(harmless: str) -> None:
    assert not list(scan(harmless))
