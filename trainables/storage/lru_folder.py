"""Folders within a size limit: where there are too many, the least recently used go."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)


def used(place: Path) -> None:
    """Note that a folder was used just now.

    Raises:
        OSError: it is not there.
    """
    os.utime(place)


def evict_least_recently_used(shelf: Path, limit: int, newest: Path, marker: str) -> None:
    """Remove the least recently used folders until all fit the limit.

    A process that has a file of one open, or mapped, keeps what it has.

    Args:
        shelf: the folder of folders; hidden ones are not looked at.
        limit: bytes.
        newest: the one that stays in any case.
        marker: a file that every whole folder has.
    """
    kept = []
    for folder in shelf.iterdir():
        try:
            if (folder / marker).is_file() and not folder.name.startswith("."):
                kept.append((folder.stat().st_mtime, sum(file.stat().st_size for file in folder.iterdir()), folder))
        except OSError:
            continue  # another process removes it
    total = sum(size for _, size, _ in kept)
    for _, size, folder in sorted(kept):
        if total <= limit:
            break
        if folder != newest:
            logger.info("%s makes room for others", folder)
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
