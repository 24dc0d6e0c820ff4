"""Upload of a run folder to object storage by a thread, while the run goes on.

The search works in a local folder below its cache. While the storage cannot be reached, the run continues and the
upload is retried. `search.storage.bucket_pull` downloads a run.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from search.storage.bucket_lease import BucketLease
from trainables.errors import DropinError
from trainables.storage import bucket_files
from trainables.storage.bucket_files import join_uri
from trainables.storage.run_paths import TEMPORARY, UNFINISHED

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)
SYNC_PERIOD = 5.0
"""Least seconds between two uploads of changes."""
MAX_TIME_SHARE = 0.2
"""Largest share of the time that the thread may be busy."""
FINAL_RETRY_DELAYS = (0.0, 1.0, 3.0)
"""Seconds before each attempt to complete the copy when the run ends."""
MTIME_RESOLUTION_NS = 50_000_000
"""Nanoseconds within which a file can change again without a new modification time."""
APPEND_ONLY = (".jsonl", ".journal", ".log")
"""Suffixes of files that are only appended to."""


class BucketSync:
    """Keeps a copy of a folder in object storage up to date.

    Attributes:
        folder: the local folder.
        uri: of the copy.
        missing_files: after `close`, the files of which the copy has no or not the latest version.
    """

    def __init__(self, folder: Path, uri: str, lease: BucketLease | None = None) -> None:
        """Sync `folder`, which need not exist yet; nothing is written any more once `lease` is lost."""
        self.folder, self.uri = folder, uri
        self.missing_files: tuple[str, ...] = ()
        self._uploaded: dict[str, tuple[int, int]] = {}
        self._pending: list[Callable[[], None]] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._unreachable, self._lease = False, lease
        self._thread = threading.Thread(target=self._run, name="bucket-sync", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def fetch(self, path: Path) -> None:
        """Queue the download of a folder that a worker wrote into the copy; `flush` does it."""
        self._pending.append(lambda: self._fetch(path))

    def delete(self, path: Path) -> None:
        """Queue the deletion of a folder here and in the copy, after all that was queued before."""
        self._pending.append(lambda: self._delete(path))

    def delete_path(self, filesystem: FileSystem, path: str) -> None:
        """Queue the deletion of a folder that does not belong to the copy."""
        self._pending.append(lambda: bucket_files.delete_path(filesystem, path))

    def flush(self) -> bool:
        """Do what is queued and upload all changes now.

        Returns:
            Whether the storage could be reached.
        """
        with self._lock:
            try:
                if self._lease is not None:
                    self._lease.refresh()
                    if self._lease.lost:
                        return False
                self._do_pending()
                self._upload_changes()
            except OSError as error:
                if not self._unreachable:
                    logger.warning("cannot sync to %s, retrying: %s", self.uri, error)
                self._unreachable = True
                return False
            if self._unreachable:
                logger.info("%s is up to date again", self.uri)
            self._unreachable = False
            return True

    def close(self) -> None:
        """Stop the thread and complete the copy; files that the folder does not have are deleted in the copy."""
        self._stop.set()
        complete = False
        try:
            if self._thread.ident is not None:
                self._thread.join()
            for delay in FINAL_RETRY_DELAYS:
                time.sleep(delay)
                complete = self.flush() and self._verify()
                if complete:
                    break
        finally:
            if not complete:
                local = _stamps(self.folder)
                differ = (name for name, stamp in local.items() if self._uploaded.get(name) != stamp)
                self.missing_files = tuple(sorted(differ))

    def _run(self) -> None:
        period = SYNC_PERIOD
        while not self._stop.wait(period):
            started = time.monotonic()
            self.flush()
            if self._lease is not None and self._lease.lost:
                os.kill(os.getpid(), signal.SIGINT)  # the run has another writer: this one ends in good order
                return
            period = max(SYNC_PERIOD, (time.monotonic() - started) / MAX_TIME_SHARE)

    def _do_pending(self) -> None:
        while self._pending:
            self._pending[0]()
            del self._pending[0]  # one that raised stays queued

    def _fetch(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            bucket_files.download(self._uri(path), path)
        except (FileNotFoundError, DropinError) as error:  # a retry would not find it either
            logger.error("detector lost: %s", error)
            return
        prefix = path.relative_to(self.folder).as_posix()
        self._uploaded.update({f"{prefix}/{name}": stamp for name, stamp in _stamps(path).items()})

    def _delete(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        bucket_files.delete(self._uri(path))
        prefix = f"{path.relative_to(self.folder).as_posix()}/"
        self._uploaded = {name: stamp for name, stamp in self._uploaded.items() if not name.startswith(prefix)}

    def _uri(self, path: Path) -> str:
        return join_uri(self.uri, *path.relative_to(self.folder).parts)

    def _upload_changes(self) -> None:
        """Upload changed files, and delete in the copy those that were deleted here.

        A file is written before a log names it. So the size of logs is read first, and they are uploaded last and up to
        that size: at any moment the copy has all files that its logs name, and a run can be resumed from it.
        """
        now = time.time_ns()
        logs = {name: stamp for name, stamp in _stamps(self.folder).items() if name.endswith(APPEND_ONLY)}
        others = {name: stamp for name, stamp in _stamps(self.folder).items() if not name.endswith(APPEND_ONLY)}
        local = {**others, **logs}
        if not local:  # the run has not started; or the folder was deleted, and the copy is all there is
            return
        for name, stamp in local.items():
            if self._uploaded.get(name) == stamp:
                continue
            try:
                self._upload(name, stamp[0])
            except FileNotFoundError:
                if (self.folder / name).exists():
                    raise  # it is the bucket that does not exist
                continue  # deleted meanwhile
            # A file that was modified just now is uploaded once more.
            self._uploaded[name] = stamp if now - stamp[1] > MTIME_RESOLUTION_NS else (stamp[0], -1)
        for name in sorted(set(self._uploaded) - set(local)):
            bucket_files.delete_file(join_uri(self.uri, name))
            del self._uploaded[name]

    def _upload(self, name: str, size: int) -> None:
        """Upload a file; of one that is appended to, the first `size` bytes."""
        if not name.endswith(APPEND_ONLY):
            bucket_files.upload_file(self.folder / name, join_uri(self.uri, name))
            return
        with (self.folder / name).open("rb") as file:
            bucket_files.write_bytes(file.read(size), join_uri(self.uri, name))

    def _verify(self) -> bool:
        """Whether the copy has every file in its size; files that are only in the copy are deleted."""
        local = {name: size for name, (size, _) in _stamps(self.folder).items()}
        try:
            remote = bucket_files.list_sizes(self.uri) if local else {}
            for name in sorted(set(remote) - set(local)):
                bucket_files.delete_file(join_uri(self.uri, name))
        except OSError as error:
            logger.warning("cannot verify %s: %s", self.uri, error)
            return False
        differ = [name for name, size in local.items() if remote.get(name) != size]
        for name in differ:
            self._uploaded.pop(name, None)  # so that the next flush uploads it again
        return not differ


@contextmanager
def synced_folder(folder: Path, uri: str | None) -> Iterator[BucketSync | None]:
    """Sync `folder` within the context as its one writer; at its end complete the copy, or print what it lacks.

    Yields:
        The sync, or ``None`` without a URI.

    Raises:
        DropinError: another process writes the copy, or the storage cannot be reached.
    """
    if uri is None:
        yield None
        return
    lease = BucketLease(uri, print)
    try:
        lease.acquire()
    except OSError as error:
        raise DropinError(f"{uri} cannot be written ({error}): check the URI and the credentials") from error
    sync = BucketSync(folder, uri, lease)
    sync.start()
    try:
        yield sync
    finally:
        finish(sync)
        lease.release()


def finish(sync: BucketSync) -> None:
    """Complete the copy, and print which files it has not."""
    try:
        sync.close()
    finally:
        if sync.missing_files:
            print(
                f"{len(sync.missing_files)} files are not in {sync.uri}, {sync.missing_files[0]} among them: they are "
                f"in {sync.folder}, and are uploaded when the run is resumed there",
                file=sys.stderr,
            )


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size in bytes and modification time in nanoseconds of every file that belongs to the copy, by name."""
    found = {}
    for parent, folders, files in os.walk(folder):
        # Hidden and .part names are being written, and are renamed when they are complete.
        folders[:] = sorted(name for name in folders if not _is_unfinished(name) and name not in TEMPORARY)
        for name in sorted(files):
            if _is_unfinished(name) or name.endswith(".lock"):
                continue
            path = Path(parent, name)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # deleted meanwhile
            found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns)
    return found


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.endswith(UNFINISHED)
