"""What keeps a disk from taking a file is told to the user, with the file and the way out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trainables.errors import DropinError, into_cache

FILE = Path("/cache/features/train.arrow")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EFBIG, "no space left"),
        (errno.EROFS, "not writable"),
        (errno.EACCES, "not writable"),
    ],
)
@pytest.mark.parametrize("named", [None, "/cache/other"])
def test_a_cache_that_takes_no_file_names_it_and_the_way_out(number: int, said: str, named: str | None) -> None:
    with pytest.raises(DropinError) as told, into_cache(FILE):
        raise OSError(number, os.strerror(number), named)
    message = str(told.value)
    assert message.startswith(f"{named or FILE} cannot be written: {said} ({os.strerror(number)}): ")
    assert message.endswith("or name another folder by --cache DIR or DROPIN_CACHE")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), OSError("none"), ValueError("other")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as told, into_cache(FILE):
        raise error
    assert told.value is error
