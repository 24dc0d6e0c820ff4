"""Names of files that a storage lists: each is written into a folder here, and none may lead out of it."""

from __future__ import annotations

from collections.abc import Iterable

from trainables.errors import DropinError
from trainables.printable import printable

NO_PART = "\\?#%"
"""Characters that no file of this project has in its name: in a URI they would not be part of a path."""


def check_names(uri: str, names: Iterable[str]) -> None:
    """Make sure that files that a storage lists below a prefix can be written into a folder, each below it.

    A key is any text, also ``a/../../b``, and some storages list it as it is. What would be read otherwise as a part of
    a URI is refused as well.

    Raises:
        DropinError: a name that leads out of the folder, or that no file of this project has.
    """
    for name in names:
        parts = name.split("/")
        if not name.isprintable() or any(part in ("", ".", "..") for part in parts) or set(name) & set(NO_PART):
            raise DropinError(
                f"files in a storage must have names that stay in their folder; {uri} has {printable(repr(name))}: "
                "delete it there, and whatever else does not come from you"
            )
