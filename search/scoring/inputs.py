"""Names that a user gives: files, folders and what lies in them, patterns; a name that leads nowhere is a fault."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator

from trainables.audio.files import is_audio_name
from trainables.printable import printable

STANDARD_INPUT = "/dev/stdin"
Fault = Callable[[str], None]


def audio_files(names: Iterable[str], fault: Fault) -> Iterator[str]:
    """The audio files that names stand for.

    A folder stands for the audio files in it and in its folders, by their suffixes and in order of their names;
    hidden ones are left out. Links to folders are not followed, or a cycle would never end. A pattern (``*``, ``?``,
    ``[...]``, ``**``) that is no file itself stands for all that it matches. ``-`` is standard input. All else is the
    name of a file.

    Args:
        names: what was given.
        fault: called with one line for every folder that cannot be entered or holds no audio, and every pattern that
            matches nothing.
    """
    for name in names:
        if name == "-":
            yield STANDARD_INPUT
        elif os.path.isdir(name):
            yield from _in_folder(name, fault)
        elif glob.has_magic(name) and not os.path.lexists(name):
            found = sorted(glob.iglob(name, recursive=True))
            if not found:
                fault(f"{printable(name)} is missing; as a pattern it matches no file")
            for one in found:
                yield from _in_folder(one, fault) if os.path.isdir(one) else (one,)
        else:
            yield name


def listed(lines: Iterable[str]) -> Iterator[str]:
    """The names in the lines of a list; empty lines are none."""
    for line in lines:
        if name := line.rstrip("\r\n"):
            yield name


def _in_folder(folder: str, fault: Fault) -> Iterator[str]:
    closed = 0

    def told(error: OSError) -> None:
        nonlocal closed
        closed += 1
        fault(f"{printable(error.filename)} cannot be read ({error.strerror})")

    found = 0
    for place, folders, files in os.walk(folder, onerror=told):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(filter(is_audio_name, files)):
            found += 1
            yield os.path.join(place, file)
    if not found and not closed:
        fault(f"{printable(folder)} holds no audio file: name files of other suffixes one by one")
