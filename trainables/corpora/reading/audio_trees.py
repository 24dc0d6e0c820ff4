"""Audio files below a folder, for corpora whose folders are all that says what a file is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trainables.audio.files import is_audio_name
from trainables.corpora.reading.listing import Listing


def audio_below(listing: Listing, folder: Path) -> Iterator[Path]:
    """All audio files below a folder, sorted by their paths; a folder that cannot be read is a fault.

    Folders may be links, of which each is entered once; hidden ones, and those that archives made on macOS add, are
    left alone.
    """
    entered: set[str] = set()
    if not listing.check_folder(folder):
        return
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one != "__MACOSX")
        here, real = Path(place), os.path.realpath(place)
        if real in entered or (here != folder and not listing.check_folder(here)):
            folders.clear()  # a circle of links would never end
            continue
        entered.add(real)
        yield from (here / file for file in sorted(files) if is_audio_name(file))
