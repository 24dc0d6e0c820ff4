"""A cache of folders with a size limit and least recently used eviction."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)


def touch(folder: Path) -> None:
    """Set a folder's time of last use to now.

    Raises:
        OSError: the folder does not exist.
    """
    os.utime(folder)


def evict_least_recently_used(cache: Path, limit: int, newest: Path, marker: str) -> None:
    """Delete the least recently used folders of a cache until its total size is within the limit.

    A process that has a file of an evicted folder open, or mapped, can still read it.

    Args:
        cache: the folder whose subfolders are the entries; hidden ones do not count.
        limit: bytes.
        newest: the entry that is never evicted.
        marker: a file that every complete entry has.
    """
    entries = []
    for folder in cache.iterdir():
        try:
            if (folder / marker).is_file() and not folder.name.startswith("."):
                entries.append((folder.stat().st_mtime, sum(file.stat().st_size for file in folder.iterdir()), folder))
        except OSError:
            continue  # another process deletes it
    total = sum(size for _, size, _ in entries)
    for _, size, folder in sorted(entries):
        if total <= limit:
            break
        if folder != newest:
            logger.info("evicted %s (least recently used)", folder)
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
