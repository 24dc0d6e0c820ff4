"""Where a report may be written."""

from __future__ import annotations

import os
from pathlib import Path

from trainables.errors import DropinError


def check_target(target: Path) -> None:
    """Make sure that a page may be written to `target`: its name says HTML, no folder is there, its own is writable.

    Raises:
        DropinError: it is not so.
    """
    if target.suffix != ".html":
        raise DropinError(f"--to must be a file that ends in .html; got {target}: name it so, or leave --to out")
    if os.path.isdir(target):
        raise DropinError(f"--to must be a file; {target} is a folder: name a file in it")
    existing = next(path for path in target.parents if os.path.exists(path))
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        raise DropinError(f"a page needs a folder that can be written; {existing} is not: choose another by --to")
