"""The one error class of this project, for whatever a user did and can mend."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of the system where there is no space for a file: on its disk, for its user, or at this length."""
CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors of the system where a folder cannot be written."""


class DropinError(ValueError):
    """Bad input: the message says which rule it breaks, the value, and what to do next.

    It is a `ValueError`, so that code which expects that of a bad value gets it; a program that catches `DropinError`
    catches what its user did wrong, and no fault of a library.
    """


@contextmanager
def into_cache(path: Path) -> Iterator[None]:
    """Within it a file is written into the cache.

    Args:
        path: the file, for errors that do not name it; or a folder, where there are several.

    Raises:
        DropinError: there is no space for it, or its folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL | CLOSED:
            raise
        number = int(error.errno or 0)
        reason, way = ("no space left", "free space there") if number in FULL else ("not writable", "make it writable")
        raise DropinError(
            f"{error.filename or path} cannot be written: {reason} ({os.strerror(number)}): {way}, or name another "
            "folder by --cache DIR or DROPIN_CACHE"
        ) from error
