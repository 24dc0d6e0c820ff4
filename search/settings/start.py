"""Where a run begins: whether a new one may be written where it was asked for, and the settings of one that goes on."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.settings import values
from search.settings.options import Settings, default_cache, options
from search.storage import bucket_pull
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.run_paths import RunPaths


def check_new(settings: Settings) -> None:
    """Make sure that a new run can be written and its corpus read, as far as folders tell.

    Raises:
        DropinError: the corpus root is no folder, the name is taken, or storage or cache cannot be written.
    """
    root, folder, uri = settings.corpus_root, settings.run_folder, settings.run_uri
    if root is not None and not os.path.isdir(root):
        raise DropinError(f"--corpus-root must be a folder; got {root}: correct the path")
    if _is_taken(folder):
        raise DropinError(
            f"--name must be new; {folder} exists: choose another, or go on with --resume {shlex.quote(str(folder))}"
        )
    if uri is not None:
        bucket_pull.check_new(uri)
    if not _is_writable(folder.parent):
        raise DropinError(f"--storage must be a folder that can be written; got {folder.parent}: choose another")
    _check_cache(settings.cache)


def _is_taken(folder: Path) -> bool:
    """Whether there is more than hidden files, such as the lock of a run that was refused before it began."""
    if not os.path.isdir(folder):
        return os.path.lexists(folder)
    try:
        return not all(name.startswith(".") for name in os.listdir(folder))
    except OSError:
        return True


def _check_cache(cache: Path) -> None:
    if not _is_writable(cache):
        raise DropinError(
            f"--cache must be a folder that can be written; got {cache}: choose another by --cache DIR, or set "
            "DROPIN_CACHE to one"
        )


def _is_writable(place: Path) -> bool:
    """Whether a folder can be written, or made where it is to be; what cannot be looked at counts as not there."""
    existing = next(path for path in (place, *place.parents) if os.path.exists(path))
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)


def resumed(run: str, *, storage: str | Path | None = None, **changed: Any) -> Settings:
    """The settings of a run that goes on.

    Args:
        run: its folder or URI, or its name in `storage`.
        storage: folder or URI of runs; ``None`` for the default.
        changed: options to change, of those that may differ when a run is resumed.

    Raises:
        DropinError: no such run, an option that a resumed run keeps, or a run or cache that cannot be written.
    """
    known = options()
    kept = sorted(name for name in changed if name not in known or not known[name].resumable)
    if kept:
        listed = ", ".join("--" + name.replace("_", "-") for name in kept)
        raise DropinError(
            f"a resumed run keeps its settings; got {listed} with --resume: leave it out or start a new run"
        )
    stored = values.PATH_OR_URI.checked("runs" if storage is None else storage)
    if isinstance(stored, str) or bucket_files.is_uri(run):
        uri = run if bucket_files.is_uri(run) else bucket_files.join_uri(str(stored), run)
        changed["cache"] = values.PATH.checked(changed["cache"] if "cache" in changed else default_cache())
        folder = named = bucket_pull.pull_run(uri, changed["cache"])
        changed["storage"], changed["name"] = bucket_files.split_uri(uri)
    else:
        named = values.PATH.checked(run)
        folder = named if os.path.isfile(RunPaths(named).settings) else stored / run
        # The folder may have been moved since; what it is called now counts.
        changed["storage"], changed["name"] = folder.parent, folder.name
    file = RunPaths(folder).settings
    if not os.path.isfile(file):
        raise DropinError(
            f"--resume must name the folder of a run; there is no {file.name} in {named}: correct the path"
        )
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise DropinError(f"--resume must name a run that can be read; got {file} ({error}): ask its owner") from error
    settings = replace(Settings.from_json(text), **changed)
    if not _is_writable(folder):
        raise DropinError(f"--resume writes the run's folder; {folder} cannot be written: resume a copy of your own")
    _check_cache(settings.cache)
    return settings
