"""The folder of an export or an evaluation: written atomically; it replaces an earlier one and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.errors import DropinError

MARKER = "export.json"
"""Has the export's metadata and the names of its files, so that a later export never deletes files of the user."""


@dataclass(frozen=True)
class FolderKind:
    """What a folder holds.

    Attributes:
        words: what it is called in messages, with its article.
        marker: the file with the metadata and the names of the files.
    """

    words: str
    marker: str


EXPORT = FolderKind("an export", MARKER)
EVALUATION = FolderKind("an evaluation", "evaluation.json")


def check(target: Path, kind: FolderKind = EXPORT) -> None:
    """Make sure that a folder may be written to `target`: it does not exist, is empty, or is an earlier one.

    Raises:
        DropinError: it has other files, or cannot be written.
    """
    # What may not be looked at counts as not there: then the folder that hides it is not writable either.
    existing = next(path for path in (target, *target.parents) if os.path.exists(path))
    if not os.path.isdir(existing):
        raise DropinError(f"{kind.words} is written to a folder; {existing} is a file: choose another path")
    for folder in (existing, target.parent) if existing == target else (existing,):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise DropinError(
                f"{kind.words} needs a folder that can be read and written; {folder} is not: choose another"
            )
    if existing != target or not os.listdir(target):
        return
    try:
        known = {kind.marker, *json.loads((target / kind.marker).read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DropinError(
            f"{kind.words} replaces only an earlier one; {target} has other files: choose another path"
        ) from error
    foreign = sorted(set(_files(target)) - known)
    if foreign:
        raise DropinError(
            f"{kind.words} replaces only an earlier one; {target} also has {', '.join(foreign[:5])}: move them away"
        )


@contextmanager
def atomic_folder(target: Path, metadata: Mapping[str, Any], kind: FolderKind = EXPORT) -> Iterator[Path]:
    """Yield an empty temporary folder, and rename it to `target` at the end. On an error nothing changes.

    Args:
        target: absolute path that `check` accepts.
        metadata: JSON types; written to the marker, beside the names of the files.
        kind: what it holds.

    Raises:
        DropinError: see `check`.
        OSError: the folder cannot be written.
    """
    check(target, kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        marker = {**metadata, "files": sorted(_files(temporary))}
        (temporary / kind.marker).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
        temporary.chmod(0o755)
        check(target, kind)  # again, since files may have been added meanwhile
        _replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(temporary: Path, target: Path) -> None:
    backup = temporary.with_name(temporary.name + ".old")
    if target.exists():
        os.replace(target, backup)
    try:
        os.replace(temporary, target)
    except OSError:
        if backup.exists():
            os.replace(backup, target)
        raise
    shutil.rmtree(backup, ignore_errors=True)


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
