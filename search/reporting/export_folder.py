"""The folder of an export: it appears whole, and takes the place of an earlier export but of nothing else."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainables.errors import DropinError

MARKER = "export.json"
"""Says what the folder is and names its files, so that a later export knows that nothing of the user's is lost."""


def check(target: Path) -> None:
    """Make sure that an export may be written to `target`: nothing is there, an empty folder, or an earlier export.

    Raises:
        DropinError: something else is there, or the place cannot be written.
    """
    existing = next(place for place in (target, *target.parents) if place.exists())
    if not existing.is_dir():
        raise DropinError(f"an export goes into a folder; {existing} is a file: choose another place")
    if not os.access(existing, os.W_OK) or not os.access(target.parent if existing == target else existing, os.W_OK):
        raise DropinError(f"an export needs a folder that can be written; {existing} cannot: choose another place")
    if existing != target or not any(target.iterdir()):
        return
    try:
        known = {MARKER, *json.loads((target / MARKER).read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DropinError(
            f"an export replaces only an earlier one; {target} holds something else: choose another place"
        ) from error
    foreign = sorted(set(_files(target)) - known)
    if foreign:
        raise DropinError(
            f"an export replaces only an earlier one; {target} also holds {', '.join(foreign[:5])}: move that away"
        )


@contextmanager
def atomic_folder(target: Path, about: Mapping[str, Any]) -> Iterator[Path]:
    """Within it, an empty folder to write to; at its end, that folder is `target`. On an error nothing changes.

    Args:
        target: absolute; what `check` lets pass.
        about: JSON types; what the marker says besides the files.

    Raises:
        DropinError: see `check`.
        OSError: the place cannot be written.
    """
    check(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield part
        marker = {**about, "files": sorted(_files(part))}
        (part / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
        part.chmod(0o755)
        check(target)  # writing took a while
        _swap(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _swap(part: Path, target: Path) -> None:
    old = part.with_name(part.name + ".old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(part, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
