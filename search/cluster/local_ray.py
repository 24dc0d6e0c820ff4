"""What keeps a Ray cluster of one's own to its user: the loopback interface, and files that nobody else can read.

By itself Ray listens on all interfaces, writes the token that it asks for so that every user of the machine may read
it, and keeps the sockets of its processes in a folder that every user may write to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)
SESSIONS = Path("/tmp")
"""Where Ray's folders are: paths of sockets must be short."""


def token_file() -> Path:
    """Where Ray looks for its token, unless ``RAY_AUTH_TOKEN`` holds it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default_token_file())


def default_token_file() -> Path:
    """Where Ray keeps its token, unless the user has another place for it."""
    return Path.home() / ".ray" / "auth_token"


def ensure_token() -> None:
    """Have a token in Ray's own place that its owner alone can read; one that is kept elsewhere is left alone."""
    place = default_token_file()
    if "RAY_AUTH_TOKEN" in os.environ or token_file() != place:
        return
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not place.exists():
            _write_token(place)
        if place.stat().st_uid == os.getuid() and place.parent.stat().st_mode & 0o077:
            place.chmod(0o600)  # in a folder that is closed it may have to be open, for a cluster's containers
    except OSError as error:
        # What cannot be written may still be read; if not, Ray says so.
        logger.warning("%s is left as it is: %s", place, error)


def _write_token(place: Path) -> None:
    """Write a token that is there whole or not at all; of processes that start together one makes it."""
    with tempfile.NamedTemporaryFile("w", dir=place.parent, encoding="utf-8") as part:  # for its owner alone
        part.write(secrets.token_hex(32))
        part.flush()
        with contextlib.suppress(FileExistsError):
            os.link(part.name, place)


def session_folder() -> str | None:
    """A folder for Ray's logs and sockets that nobody else can get into; ``None`` where the user has chosen one.

    It is the same one every time, unless somebody else has made it first.
    """
    if os.environ.get("RAY_TMPDIR"):
        return None
    place = SESSIONS / f"ray-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    about = place.lstat()
    private = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    # Ray opens the folder that it is given to everybody, so that is one within.
    return str((place if private else Path(tempfile.mkdtemp(prefix="ray-", dir=SESSIONS))) / "ray")
