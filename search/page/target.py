"""Where a page or a picture may be written."""

from __future__ import annotations

import os
from pathlib import Path

from trainables.errors import DropinError


def check_target(target: Path, option: str = "--to", suffix: str = ".html") -> None:
    """Make sure that `target` may be written: its name ends as it must, no folder is there, its own is writable.

    Raises:
        DropinError: it is not so; the message names the option.
    """
    if target.suffix != suffix:
        raise DropinError(
            f"{option} must be a file that ends in {suffix}; got {target}: name it so, or leave {option} out"
        )
    if os.path.isdir(target):
        raise DropinError(f"{option} must be a file; {target} is a folder: name a file in it")
    existing = next(path for path in target.parents if os.path.exists(path))
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        raise DropinError(f"{option} needs a folder that can be written; {existing} is not: choose another by {option}")
