"""Where a report may be written."""

from __future__ import annotations

from pathlib import Path

from trainables.errors import DropinError


def check_target(target: Path) -> None:
    """Make sure that a page may be written to `target`: its name says HTML, and no folder is there.

    Raises:
        DropinError: it is not so.
    """
    if target.suffix != ".html":
        raise DropinError(f"--to must be a file that ends in .html; got {target}: name it so, or leave --to out")
    if target.is_dir():
        raise DropinError(f"--to must be a file; {target} is a folder: name a file in it")
