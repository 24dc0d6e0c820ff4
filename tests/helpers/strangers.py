"""Commands as a user whom this machine does not know, as in a container with some user id. Needs root and Linux.

It may read whatever root may, so that Python and this checkout can be where they are, and write what is its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from project_file import HELPERS, ROOT

USER = 54321
PRIVATE = Path(f"/tmp/ray-{USER}")
"""Where the search keeps what nobody else may read."""
CAN_BE_ONE = sys.platform == "linux" and os.getuid() == 0 and shutil.which("setpriv") is not None


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder, which the stranger reaches without any right of root's; to be made the stranger's by `give`."""
    with tempfile.TemporaryDirectory(prefix="stranger-") as place:
        Path(place).chmod(0o755)
        try:
            yield Path(place)
        finally:
            shutil.rmtree(PRIVATE, ignore_errors=True)


def give(folder: Path) -> None:
    """Make a folder and all that is in it the stranger's."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)


def python(*words: str, home: str | None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python as the stranger.

    Args:
        words: of the command line.
        home: ``HOME``; ``None`` for none.
        environment: variables besides.
    """
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "XDG_", "DROPIN", "MPL"))}
    bare.pop("HOME", None)
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS}", **({} if home is None else {"HOME": home})}
    right = "+dac_read_search"
    who = ["--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--inh-caps", right, "--ambient-caps", right]
    return subprocess.run(
        ["setpriv", *who, sys.executable, *words],
        env={**bare, **paths, **environment},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
