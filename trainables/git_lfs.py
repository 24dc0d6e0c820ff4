"""Pointers of Git LFS: small text files that lie where a large file would, until that is fetched."""

from __future__ import annotations

from pathlib import Path

BEGIN = b"version https://git-lfs"
CURE = "it is a pointer of Git LFS and not the file itself: run `git lfs pull` in its clone, or download the file"


def is_pointer(path: Path) -> bool:
    """Whether a file is a pointer of Git LFS; a file that cannot be read is none."""
    try:
        with open(path, "rb") as file:
            return file.read(len(BEGIN)) == BEGIN
    except OSError:
        return False
