"""What keeps Ray on this machine to its user: a token and a folder that nobody else can read.

By itself Ray writes the token that it asks for so that every user of the machine may read it, and keeps the sockets of
its processes in a folder that every user may write to. It also listens on all interfaces, unless its environment says
otherwise (`search.cluster.ray_compat.LOCAL_ENVIRONMENT`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)
TEMP_ROOT = Path("/tmp")
"""The folder of Ray's temporary folders: paths of sockets must be short."""


def token_file() -> Path:
    """The file in which Ray looks for its token, unless ``RAY_AUTH_TOKEN`` holds it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default_token_file())


def default_token_file() -> Path:
    """The file in which Ray keeps its token, unless ``RAY_AUTH_TOKEN_PATH`` names another."""
    return Path.home() / ".ray" / "auth_token"


def ensure_token() -> None:
    """Write a token into Ray's default file, for its owner alone, if there is none; one elsewhere is left alone."""
    path = default_token_file()
    if "RAY_AUTH_TOKEN" in os.environ or token_file() != path:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_token(path)
        if path.stat().st_uid == os.getuid() and path.parent.stat().st_mode & 0o077:
            path.chmod(0o600)  # in a folder that is closed it may have to be readable, for a cluster's containers
    except OSError as error:
        # What cannot be written may still be read; if not, Ray says so.
        logger.warning("%s is left as it is: %s", path, error)


def remove_ended_sessions() -> None:
    """Remove the folders of Ray's sessions here whose driver has ended; their logs are of no use to a later run."""
    for session in _own_temp_dir().glob("session_*"):
        driver = session.name.rpartition("_")[2]  # session_DATE_TIME_MICROSECONDS_PID
        if driver.isdigit() and not psutil.pid_exists(int(driver)):
            shutil.rmtree(session, ignore_errors=True)
    latest = _own_temp_dir() / "session_latest"  # a link
    if latest.is_symlink() and not latest.exists():
        latest.unlink(missing_ok=True)


def _write_token(path: Path) -> None:
    """Write a token whole or not at all; of processes that start together one writes it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as part:  # for its owner alone
        part.write(secrets.token_hex(32))
        part.flush()
        with contextlib.suppress(FileExistsError):
            os.link(part.name, path)


def _own_temp_dir() -> Path:
    return TEMP_ROOT / f"ray-{os.getuid()}" / "ray"


def temp_dir() -> str | None:
    """Ray's temporary folder, for its logs and sockets; nobody else can open it. ``None`` where the user has set one.

    It is the same one every time, unless somebody else has made it first.
    """
    if os.environ.get("RAY_TMPDIR"):
        return None
    outer = _own_temp_dir().parent
    with contextlib.suppress(FileExistsError):
        outer.mkdir(mode=0o700)
    about = outer.lstat()
    private = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    # Ray lets everybody open the folder that it is given, so that is one within.
    return str((outer if private else Path(tempfile.mkdtemp(prefix="ray-", dir=TEMP_ROOT))) / "ray")
