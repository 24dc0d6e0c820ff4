"""Folders of a detector or a checkpoint: safetensors and JSON, never pickle, verified by SHA-256.

A folder is written under a temporary name and renamed, so that it is complete or absent. An existing folder is moved to
a backup name first and deleted last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from trainables import git_lfs
from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain

WEIGHTS, DESCRIPTION, DIGESTS = "model.safetensors", "detector.json", "digest.json"


@dataclass(frozen=True)
class Detector:
    """A trained detector.

    Attributes:
        arch: its architecture.
        module: the network in evaluation mode, on the CPU.
        card: its metadata: front end, EER, threshold, corpus, plan, seed.
    """

    arch: Architecture
    module: Chain
    card: dict[str, Any]


def save_detector(folder: Path, arch: Architecture, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write a detector to `folder`, replacing an existing one.

    Args:
        state: state dict of ``arch.build()``.
        card: JSON types only.
    """
    write_folder(
        folder, {WEIGHTS: state}, {DESCRIPTION: {"architecture": json.loads(arch.to_json()), "card": dict(card)}}
    )


def load_detector(folder: Path) -> Detector:
    """Read a detector.

    The folder is untrusted input: nothing in it is executed, no file outside it is read, and memory is allocated only
    for weights that the file holds.

    Raises:
        DropinError: not a detector, damaged, or weights that do not fit its architecture.
    """
    tensors, documents = read_folder(folder, [WEIGHTS], [DESCRIPTION])
    try:
        arch = Architecture.from_json(json.dumps(documents[DESCRIPTION]["architecture"]))
        arch.check_shapes(tensors[WEIGHTS])
        module = arch.build()
        module.load_state_dict(tensors[WEIGHTS])
        card = dict(documents[DESCRIPTION]["card"])
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise DropinError(f"{folder} is not a detector of this project: {error}; export it again") from error
    return Detector(arch, module.eval(), card)


def weights_digest(folder: Path) -> str:
    """SHA-256, in hex, of a detector's weights file: copies of a detector have the same, whatever their cards say.

    Raises:
        DropinError: the file cannot be read.
    """
    return hashlib.sha256(_read(folder / WEIGHTS)).hexdigest()


def write_folder(
    folder: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    documents: Mapping[str, Mapping[str, Any]],
    *,
    atomic: bool = True,
) -> None:
    """Write safetensors files, JSON files, and the SHA-256 digest of each.

    Args:
        folder: where to.
        tensors: state dicts by file name.
        documents: JSON objects by file name.
        atomic: write a temporary folder and rename it; otherwise write into `folder`, which exists and which the caller
            renames.
    """
    target = folder
    if atomic:
        folder.parent.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        digests = {}
        for name, values in tensors.items():
            data = safetensors.torch.save(
                {key: value.detach().cpu().contiguous().clone() for key, value in values.items()}
            )
            digests[name] = _write(target / name, data)
        for name, value in documents.items():
            digests[name] = _write(target / name, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
        _write(target / DIGESTS, json.dumps(digests, indent=1, sort_keys=True).encode())
        if atomic:
            target.chmod(0o755)
            _replace(target, folder)
    finally:
        if atomic:
            shutil.rmtree(target, ignore_errors=True)


def read_folder(
    folder: Path, tensors: list[str], documents: list[str]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, Any]]]:
    """Read what `write_folder` wrote: state dicts by file name, and JSON objects by file name.

    Raises:
        DropinError: a file is missing, truncated or does not match its digest.
    """
    digests = _parse(folder / DIGESTS, _read(folder / DIGESTS))
    data = {}
    for name in (*tensors, *documents):
        data[name] = _read(folder / name)
        if data[name].startswith(git_lfs.BEGIN):
            raise DropinError(f"{folder / name} cannot be read: {git_lfs.CURE}")
        if hashlib.sha256(data[name]).hexdigest() != digests.get(name):
            raise DropinError(
                f"{folder / name} is damaged: its SHA-256 is not that of {DIGESTS}; restore or rebuild it"
            )
    loaded = {}
    for name in tensors:
        try:
            loaded[name] = safetensors.torch.load(data[name])
        # KeyError: a dtype that this torch does not have; ValueError, RuntimeError: shapes that it refuses.
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise DropinError(f"{folder / name} must be safetensors; restore or rebuild it: {error}") from error
    return loaded, {name: _parse(folder / name, data[name]) for name in documents}


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_regular) as file:
            return file.read()
    except OSError as error:
        reason = "it is a link: replace it by the file" if os.path.islink(path) else f"{error}; restore or rebuild it"
        raise DropinError(f"{path} of a checkpoint or detector cannot be read: {reason}") from error


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file only. A symbolic link could point anywhere, and a pipe or a device may never end."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is not a regular file")
    return descriptor


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        raise DropinError(f"{path} must be JSON; restore or rebuild it: {error}") from error
    if not isinstance(value, dict):
        raise DropinError(f"{path} must hold a JSON object; restore or rebuild it")
    return value


def _replace(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; an existing folder is restored if the rename fails, and deleted otherwise."""
    if not folder.exists():
        os.replace(new, folder)
        return
    backup = new.with_name(f"{new.name}.old")
    os.replace(folder, backup)
    try:
        os.replace(new, folder)
    except BaseException:
        os.replace(backup, folder)
        raise
    shutil.rmtree(backup, ignore_errors=True)  # a failure leaves a hidden folder, and the new one is complete


def _write(path: Path, data: bytes) -> str:
    """Write a file and fsync it.

    Returns:
        The SHA-256 of `data`.
    """
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()
