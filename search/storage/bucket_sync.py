"""The copy of a run's folder in a storage that is no file system: a thread makes it follow while the run goes on.

The search works in a folder below its cache, as it does everywhere. Where the storage cannot be reached, the run goes
on and the copy follows later. `search.storage.bucket_pull` is the way back.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from search.storage.run_paths import TEMPORARY
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)
PAUSE = 5.0
"""Seconds between two looks for what has changed, at least."""
SHARE = 0.2
"""Share of the time that the thread may take."""
LAST_TRIES = (0.0, 1.0, 3.0)
"""Seconds before each of the tries to complete the copy in the end."""
COARSE = 50_000_000
"""Nanoseconds in which a file may change again without showing it by its time."""
GROWING = (".jsonl", ".journal", ".log")
"""Files that are only appended to."""


class BucketSync:
    """Makes the copy of a folder follow it.

    Attributes:
        folder: the folder here.
        uri: its copy.
        lacking: after `close`, the files whose copy is not there or not the latest.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        """Follow `folder`, which need not be there yet."""
        self.folder, self.uri = folder, uri
        self.lacking: tuple[str, ...] = ()
        self._copied: dict[str, tuple[int, int]] = {}
        self._asked: list[Callable[[], None]] = []
        self._turn, self._ended = threading.Lock(), threading.Event()
        self._behind = False
        self._thread = threading.Thread(target=self._follow, name="mirror", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def fetch(self, place: Path) -> None:
        """Have a folder that a worker wrote into the copy fetched into the folder; soon, see `settle`."""
        self._asked.append(lambda: self._fetch(place))

    def discard(self, place: Path) -> None:
        """Have a folder removed here and in the copy; soon, after what was asked for before."""
        self._asked.append(lambda: self._discard(place))

    def discard_path(self, filesystem: FileSystem, path: str) -> None:
        """Have a folder removed that is no part of the copy; soon."""
        self._asked.append(lambda: bucket_files.remove_path(filesystem, path))

    def settle(self) -> bool:
        """Do now what was asked for, and bring the copy up to date; whether the storage could be reached."""
        with self._turn:
            try:
                self._do_asked()
                self._push()
            except OSError as error:
                if not self._behind:
                    logger.warning("%s is behind, which is tried again: %s", self.uri, error)
                self._behind = True
                return False
            if self._behind:
                logger.info("%s is up to date again", self.uri)
            self._behind = False
            return True

    def close(self) -> None:
        """Stop following and complete the copy: what is not here any more goes there as well."""
        self._ended.set()
        whole = False
        try:
            if self._thread.ident is not None:
                self._thread.join()
            for pause in LAST_TRIES:
                time.sleep(pause)
                whole = self.settle() and self._complete()
                if whole:
                    break
        finally:
            if not whole:
                here = _files(self.folder)
                self.lacking = tuple(sorted(name for name, stamp in here.items() if self._copied.get(name) != stamp))

    def _follow(self) -> None:
        pause = PAUSE
        while not self._ended.wait(pause):
            began = time.monotonic()
            self.settle()
            pause = max(PAUSE, (time.monotonic() - began) / SHARE)

    def _do_asked(self) -> None:
        while self._asked:
            self._asked[0]()
            del self._asked[0]

    def _fetch(self, place: Path) -> None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            bucket_files.download(self._uri(place), place)
        except FileNotFoundError as error:  # in vain, however often it is tried
            logger.error("a detector is lost: %s", error)
            return
        prefix = place.relative_to(self.folder).as_posix()
        self._copied.update({f"{prefix}/{name}": stamp for name, stamp in _files(place).items()})

    def _discard(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        bucket_files.remove(self._uri(place))
        below = f"{place.relative_to(self.folder).as_posix()}/"
        self._copied = {name: stamp for name, stamp in self._copied.items() if not name.startswith(below)}

    def _uri(self, place: Path) -> str:
        return join_uri(self.uri, *place.relative_to(self.folder).parts)

    def _push(self) -> None:
        """Send what changed, and remove what is gone.

        What a log tells of was written before. So logs are looked at first and sent last, no further than they went
        then: whatever moment a run is resumed from, all that its log tells of is there.
        """
        now = time.time_ns()
        logs = {name: stamp for name, stamp in _files(self.folder).items() if name.endswith(GROWING)}
        others = {name: stamp for name, stamp in _files(self.folder).items() if not name.endswith(GROWING)}
        here = {**others, **logs}
        if not here:  # not begun; or somebody took it away, and what the copy has is all there is
            return
        for name, stamp in here.items():
            if self._copied.get(name) == stamp:
                continue
            try:
                self._send(name, stamp[0])
            except FileNotFoundError:
                if (self.folder / name).exists():
                    raise  # it is the storage that is not there
                continue  # removed since
            # One that was written just now is sent again the next time.
            self._copied[name] = stamp if now - stamp[1] > COARSE else (stamp[0], -1)
        for name in sorted(set(self._copied) - set(here)):
            bucket_files.remove_file(join_uri(self.uri, name))
            del self._copied[name]

    def _send(self, name: str, size: int) -> None:
        if not name.endswith(GROWING):
            bucket_files.upload_file(self.folder / name, join_uri(self.uri, name))
            return
        with (self.folder / name).open("rb") as file:
            bucket_files.write_bytes(file.read(size), join_uri(self.uri, name))

    def _complete(self) -> bool:
        """Compare the copy with the folder, and remove what is there only; whether it lacks nothing."""
        here = {name: size for name, (size, _) in _files(self.folder).items()}
        try:
            there = bucket_files.list_sizes(self.uri) if here else {}
            for name in sorted(set(there) - set(here)):
                bucket_files.remove_file(join_uri(self.uri, name))
        except OSError as error:
            logger.warning("%s cannot be compared: %s", self.uri, error)
            return False
        differ = [name for name, size in here.items() if there.get(name) != size]
        for name in differ:
            self._copied.pop(name, None)  # to be sent again
        return not differ


@contextmanager
def synced_folder(folder: Path, uri: str | None) -> Iterator[BucketSync | None]:
    """Within it the copy of `folder` follows it; afterwards it is complete, or what it lacks is printed.

    Yields:
        ``None`` where there is to be no copy.
    """
    if uri is None:
        yield None
        return
    mirror = BucketSync(folder, uri)
    mirror.start()
    try:
        yield mirror
    finally:
        finish(mirror)


def finish(mirror: BucketSync) -> None:
    """Complete a copy, and print what it lacks."""
    try:
        mirror.close()
    finally:
        if mirror.lacking:
            print(
                f"{len(mirror.lacking)} files are not in {mirror.uri}, {mirror.lacking[0]} among them: they are in "
                f"{mirror.folder}, and are sent when the run is resumed there",
                file=sys.stderr,
            )


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change, in nanoseconds, of every file that belongs into the copy, by name."""
    found = {}
    for place, folders, files in os.walk(folder):
        # Hidden ones and parts are being written and get their names when they are whole.
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in TEMPORARY)
        for name in sorted(files):
            if name.startswith(".") or name.endswith((".part", ".lock")):
                continue
            path = Path(place, name)
            try:
                about = path.stat()
            except FileNotFoundError:
                continue  # removed since
            found[path.relative_to(folder).as_posix()] = (about.st_size, about.st_mtime_ns)
    return found
