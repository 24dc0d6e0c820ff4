"""Where a run begins: whether a new one may be written where it was asked for, and the settings of one that goes on."""

from __future__ import annotations

import logging
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
from trainables.storage.run_paths import SETTINGS, WRITER_LOCK, RunPaths

logger = logging.getLogger(__name__)


def check_new(settings: Settings) -> None:
    """Make sure that a new run can be written and its corpus read, as far as folders tell.

    Raises:
        DropinError: the corpus root is no folder, the name is taken, or storage or cache cannot be written.
    """
    folder, uri = settings.run_folder, settings.run_uri
    check_root(settings)
    if _is_taken(folder):
        raise _taken(folder)
    if uri is not None:
        bucket_pull.check_new(uri)
    check_writable("--storage", folder.parent)
    check_writable("--cache", settings.cache)


def claim_new(settings: Settings) -> None:
    """What `check_new` does, and then take the name: of those who do this for one name, one goes on.

    The folder is a run from then on, which may be resumed; `give_up` makes the name free again.

    Raises:
        DropinError: see `check_new`.
    """
    check_new(settings)
    file = settings.paths.settings
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(settings.to_json())
    except FileExistsError as error:
        raise _taken(file.parent) from error
    except OSError as error:
        raise DropinError(f"--storage must be a folder that can be written; got {error}: choose another") from error


def give_up(settings: Settings) -> None:
    """Make the name of a new run free again that `claim_new` took and that has not begun."""
    file, uri = settings.paths.settings, settings.run_uri
    if not file.exists() or not _files(file.parent) <= {SETTINGS, WRITER_LOCK}:
        return
    file.unlink()
    if uri is None:
        return
    try:
        bucket_files.delete_file(bucket_files.join_uri(uri, SETTINGS))  # the copy may have it already
    except OSError as error:
        logger.warning("the name of %s stays taken: %s", uri, error)


def check_root(settings: Settings) -> None:
    """Make sure that the root of the corpus is there, if it has one.

    Raises:
        DropinError: it does not exist.
    """
    for option, root in (("--corpus-root", settings.corpus_root), ("--bonafide-root", settings.bonafide_root)):
        if root is not None and not os.path.exists(root):
            raise DropinError(f"{option} must exist; got {root}: correct the path")


def check_writable(option: str, place: Path) -> None:
    """Make sure that a folder can be written, or made.

    Raises:
        DropinError: it is a file, within one, or belongs to somebody else.
    """
    # By os.path, to which what may not be looked at is not there.
    existing = next(path for path in (place, *place.parents) if os.path.exists(path))
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        another = "choose another"
        if option == "--cache":
            another += " by --cache DIR, or set DROPIN_CACHE to one"
        raise DropinError(f"{option} must be a folder that can be written; got {place}: {another}")


def _is_taken(folder: Path) -> bool:
    """Whether there is more than the lock of a run that was refused before it began."""
    if not os.path.isdir(folder):
        return os.path.lexists(folder)
    try:
        return not _files(folder) <= {WRITER_LOCK}
    except OSError:
        return True


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _taken(folder: Path) -> DropinError:
    return DropinError(
        f"--name must be new; {folder} exists: choose another, or go on with --resume {shlex.quote(str(folder))}"
    )


def resumed(run: str, *, storage: str | Path | None = None, **changed: Any) -> Settings:
    """The settings of a run that goes on.

    Args:
        run: its folder or URI, or its name in `storage`.
        storage: folder or URI of runs; ``None`` for the default.
        changed: options to change, of those that may differ when a run is resumed.

    Raises:
        DropinError: no such run, an option that a resumed run keeps, a corpus root that is no folder, or a folder of
            the run or a cache that cannot be written.
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
        check_writable("--cache", changed["cache"])
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
    check_root(settings)
    check_writable("--storage", folder)
    check_writable("--cache", settings.cache)
    return settings
