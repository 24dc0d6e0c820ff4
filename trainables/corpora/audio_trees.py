"""Audio files below a folder, for corpora whose folders are all that says what a file is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trainables.corpora.audio_files import is_audio_name
from trainables.corpora.listing import Listing


def audio_below(listing: Listing, folder: Path) -> Iterator[Path]:
    """All audio files below a folder, sorted by their paths; a folder that cannot be read is a fault.

    Folders that are links are entered where the listing follows links; hidden ones, and those that archives made on
    macOS add, are not.
    """
    if not listing.check_folder(folder):
        return
    for place, folders, files in os.walk(folder, followlinks=listing.follow_links):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one != "__MACOSX")
        here = Path(place)
        if here != folder and not listing.check_folder(here):
            continue
        yield from (here / file for file in sorted(files) if is_audio_name(file))
