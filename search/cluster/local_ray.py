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
import shlex
import stat
import tempfile
from pathlib import Path

from trainables.errors import DropinError

logger = logging.getLogger(__name__)
RAY = "ray"
"""Ray's temporary folder, within the private one."""
TEMP_ROOT = Path("/tmp")
"""The folder of Ray's temporary folders: paths of sockets must be short."""


def token_file() -> Path:
    """The file in which Ray looks for its token, unless ``RAY_AUTH_TOKEN`` holds it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default_token_file())


def default_token_file() -> Path:
    """The file in which Ray keeps its token, unless ``RAY_AUTH_TOKEN_PATH`` names another."""
    return Path.home() / ".ray" / "auth_token"


def ensure_token() -> None:
    """Write a token into Ray's default file, for its owner alone, if there is none; one elsewhere is left alone.

    Where that file is not this user's to write or read, as in a home folder of somebody else or one that is read-only,
    the token is in the private folder, and ``RAY_AUTH_TOKEN_PATH`` says so to this process and those that it starts.

    Raises:
        DropinError: there is no place for a token.
    """
    if "RAY_AUTH_TOKEN" in os.environ or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    try:
        if _is_own(default_token_file()):
            _write_own(default_token_file())
            return
    except (OSError, RuntimeError) as error:  # a RuntimeError where no home folder is known
        logger.info("Ray's token is not in the home folder: %s", error)
    path = private_folder() / "auth_token"
    try:
        _write_own(path)
    except OSError as error:
        raise DropinError(
            f"Ray needs a token that nobody else can read; {path} cannot be written ({error}): set RAY_AUTH_TOKEN_PATH "
            "to a file for it"
        ) from error
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def login_command(ray: str) -> str:
    """The command that prints the token, as a shell of the user's takes it.

    Args:
        ray: Ray's command.
    """
    path = None if "RAY_AUTH_TOKEN" in os.environ else os.environ.get("RAY_AUTH_TOKEN_PATH")
    return f"{f'RAY_AUTH_TOKEN_PATH={shlex.quote(path)} ' if path else ''}{shlex.quote(ray)} get-auth-token"


def owner(path: Path) -> int | None:
    """The user id of the owner of a file or folder; ``None`` where it is not to be seen."""
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _is_own(token: Path) -> bool:
    """Whether a token's file, or the folder that it would be made in, is this user's; that of root is nobody else's."""
    nearest = next((path for path in (token, *token.parents) if os.path.lexists(path)), Path("/"))
    return owner(nearest) in ({os.getuid(), 0} if nearest == token else {os.getuid()})


def _write_own(path: Path) -> None:
    """Write a token unless there is one, and see that it can be read; nobody else shall read it.

    Raises:
        OSError: it cannot be written or read.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _write_token(path)
    if path.stat().st_uid == os.getuid() and path.parent.stat().st_mode & 0o077:
        path.chmod(0o600)  # in a folder that is closed it may have to be readable, for a cluster's containers
    with path.open("rb"):
        return


def _write_token(path: Path) -> None:
    """Write a token whole or not at all; of processes that start together one writes it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as part:  # for its owner alone
        part.write(secrets.token_hex(32))
        part.flush()
        with contextlib.suppress(FileExistsError):
            os.link(part.name, path)


def _own_folder() -> Path:
    return TEMP_ROOT / f"ray-{os.getuid()}"


def private_folder() -> Path:
    """A folder that nobody else can open. It is the same one every time, unless somebody else has made it first.

    Raises:
        DropinError: it cannot be made.
    """
    outer = _own_folder()
    try:
        with contextlib.suppress(FileExistsError):
            outer.mkdir(mode=0o700)
        about = outer.lstat()
        private = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
        return outer if private else Path(tempfile.mkdtemp(prefix="ray-", dir=TEMP_ROOT))
    except OSError as error:
        raise DropinError(
            f"a folder below {TEMP_ROOT} is needed that nobody else can open; it cannot be made ({error}): make "
            f"{TEMP_ROOT} writable, or set RAY_TMPDIR and RAY_AUTH_TOKEN_PATH to places of your own"
        ) from error


def temp_dir() -> str | None:
    """Ray's temporary folder, for its logs and sockets; nobody else can open it. ``None`` where the user has set one.

    Raises:
        DropinError: it cannot be made.
    """
    if os.environ.get("RAY_TMPDIR"):
        return None
    # Ray lets everybody open the folder that it is given, so that is one within.
    return str(private_folder() / RAY)


def sessions_folder() -> Path:
    """Ray's temporary folder, unless others made ours first; it need not be there."""
    return _own_folder() / RAY
