"""Folders that hold a detector or a trial under way: safetensors and JSON, never pickle, checked by a digest.

A folder is written beside its place and renamed, so it is there whole or not at all. One that is replaced is moved
aside first and removed last.
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

from trainables.errors import DropinError
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain

WEIGHTS, DESCRIPTION, DIGESTS = "model.safetensors", "detector.json", "digest.json"


@dataclass(frozen=True)
class Detector:
    """A trained detector.

    Attributes:
        arch: what it is made of.
        module: the network in evaluation mode, on the CPU.
        card: what is known about it: front end, EER, threshold, corpus, plan, seed.
    """

    arch: Architecture
    module: Chain
    card: dict[str, Any]


def save_detector(folder: Path, arch: Architecture, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write a detector to `folder`, replacing one that is there.

    Args:
        state: state dict of ``arch.build()``.
        card: JSON types only.
    """
    write_folder(
        folder, {WEIGHTS: state}, {DESCRIPTION: {"architecture": json.loads(arch.to_json()), "card": dict(card)}}
    )


def load_detector(folder: Path) -> Detector:
    """Read a detector.

    It may come from anybody: nothing in it is run, no file outside it is read, and memory is taken for weights that are
    there only.

    Raises:
        DropinError: not a detector, damaged, or weights that do not fit its architecture.
    """
    tensors, texts = read_folder(folder, [WEIGHTS], [DESCRIPTION])
    try:
        arch = Architecture.from_json(json.dumps(texts[DESCRIPTION]["architecture"]))
        arch.check_shapes(tensors[WEIGHTS])
        module = arch.build()
        module.load_state_dict(tensors[WEIGHTS])
        card = dict(texts[DESCRIPTION]["card"])
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise DropinError(f"{folder} is not a detector of this project: {error}; export it anew") from error
    return Detector(arch, module.eval(), card)


def write_folder(
    folder: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    texts: Mapping[str, Mapping[str, Any]],
    *,
    atomic: bool = True,
) -> None:
    """Write safetensors and JSON files and a digest over them all.

    Args:
        atomic: by way of a temporary folder and a rename; otherwise straight into `folder`, which exists (and
            whose owner renames it).
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
        for name, value in texts.items():
            digests[name] = _write(target / name, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
        _write(target / DIGESTS, json.dumps(digests, indent=1, sort_keys=True).encode())
        if atomic:
            target.chmod(0o755)
            _put(target, folder)
    finally:
        if atomic:
            shutil.rmtree(target, ignore_errors=True)


def read_folder(
    folder: Path, tensors: list[str], texts: list[str]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, Any]]]:
    """Read what `write_folder` wrote: tensors by file, JSON by file.

    Raises:
        DropinError: a file is missing, cut off or not what was written.
    """
    digests = _parsed(folder / DIGESTS, _content(folder / DIGESTS))
    data = {}
    for name in (*tensors, *texts):
        data[name] = _content(folder / name)
        if hashlib.sha256(data[name]).hexdigest() != digests.get(name):
            raise DropinError(f"{folder / name} is damaged: it is not what was written; restore or rebuild it")
    loaded = {}
    for name in tensors:
        try:
            loaded[name] = safetensors.torch.load(data[name])
        # KeyError: a type that this torch has not; ValueError, RuntimeError: shapes that it refuses.
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise DropinError(f"{folder / name} must be safetensors; restore or rebuild it: {error}") from error
    return loaded, {name: _parsed(folder / name, data[name]) for name in texts}


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_itself) as file:
            return file.read()
    except OSError as error:
        reason = "it is a link, put the file in its place" if path.is_symlink() else f"{error}; restore or rebuild it"
        raise DropinError(f"{path} of a checkpoint or detector cannot be read: {reason}") from error


def _open_itself(path: str, flags: int) -> int:
    """Open a file. A link would lead anywhere, and a pipe or a device may never end."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is not a file")
    return descriptor


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, or not even text; nested beyond reason
        raise DropinError(f"{path} must be JSON; restore or rebuild it: {error}") from error
    if not isinstance(value, dict):
        raise DropinError(f"{path} must hold a JSON object; restore or rebuild it")
    return value


def _put(new: Path, place: Path) -> None:
    """Rename folder `new` to `place`; what is there makes room, and comes back if the rename fails."""
    if not place.exists():
        os.replace(new, place)
        return
    aside = new.with_name(f"{new.name}.old")
    os.replace(place, aside)
    try:
        os.replace(new, place)
    except BaseException:
        os.replace(aside, place)
        raise
    shutil.rmtree(aside, ignore_errors=True)  # what matters is in place


def _write(path: Path, data: bytes) -> str:
    """Write through to the disk; the SHA-256 of what was written."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()
