"""The user's home folder, which there may not be: in containers whose user id nobody has entered, after ``sudo -E``."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from search.cluster import local_ray
from trainables.errors import DropinError


def caches() -> Path:
    """The user's folder of caches.

    Raises:
        DropinError: see `own_home`.
    """
    if sys.platform == "darwin":
        return own_home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or own_home() / ".cache")


def own_home() -> Path:
    """The home folder of the user of this process.

    It is that of ``HOME``, unless sudo has kept the caller's: what root writes there is closed to the caller later.

    Raises:
        DropinError: neither ``HOME`` nor the user database names one.
    """
    user = os.getuid()
    if os.environ.get("SUDO_UID", "").isdigit() and (kept := os.environ.get("HOME")) is not None:
        caller = int(os.environ["SUDO_UID"])
        if caller != user and local_ray.owner(Path(kept)) == caller and (entered := _entered_home(user)) is not None:
            return entered
    try:
        return Path.home()
    except RuntimeError as error:
        raise DropinError(
            f"caches are in the user's home folder by default; neither HOME nor the user database names one for user "
            f"id {user}: set DROPIN_CACHE to a folder, or give --cache DIR"
        ) from error


def provide() -> None:
    """Give libraries what they would look for in a home folder where there is none that can be used.

    For this process and those that it starts. Where no home is known at all, Ray cannot even be imported; where nothing
    can be written there, matplotlib warns and lists the machine's fonts anew each time.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = local_ray.private_folder() / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(home)
    if not {"MPLCONFIGDIR", "XDG_CONFIG_HOME"} & set(os.environ) and not os.access(home, os.W_OK | os.X_OK):
        folder = local_ray.private_folder() / "matplotlib"
        folder.mkdir(mode=0o700, exist_ok=True)
        os.environ["MPLCONFIGDIR"] = str(folder)


def _entered_home(user: int) -> Path | None:
    """The home folder that the user database names."""
    try:
        return Path(pwd.getpwuid(user).pw_dir)
    except KeyError:
        return None
