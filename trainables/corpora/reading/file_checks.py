"""What was found out about audio files, kept in the cache: whose header is sound, and the hash of its content.

A file is read once as a whole; after that its state (size, times, inode) tells whether it is still the same. The time
of its last change of state (ctime) is among them, since a copy with old times (``cp -p``, ``tar``) brings back size and
mtime. A file with a fault is checked at every start.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from trainables.audio.reading import check_header
from trainables.corpora.corpus import content_hash
from trainables.errors import into_cache
from trainables.printable import printable
from trainables.progress import Progress, silent

VERSION = b"2"
"""Of the file of verdicts and of what a sound header is: raise it whenever either changes."""
SETTLED_NS = 2 * 10**9
"""A file that changed less than this before it was checked is checked again next time: file systems keep times in steps
of up to 2 s, so a later change could leave them as they are."""
OUTSIDE = "is a link to a path outside the corpus; replace it by the file, or follow such links by --follow-links"
# Threads hide the latency of network disks, but more than these do not help.
_THREADS = 8
_FILES_PER_TASK = 64
_STATES_PER_TASK = 512

Result = TypeVar("Result")

State = tuple[int, int, int, int]
"""Size in bytes, mtime and ctime in ns, inode."""


class Verdict(NamedTuple):
    """What was found out about a file.

    Attributes:
        fault: ``None`` for a file that can be read.
        content: BLAKE2b of its content in hex; empty with a fault.
        note: what is to be told of a file that can be read, such as that its header disagrees with it; mostly empty.
    """

    fault: str | None
    content: str = ""
    note: str = ""


_COLUMNS = {
    "path": pa.string(),
    "size": pa.int64(),
    "mtime": pa.int64(),
    "ctime": pa.int64(),
    "inode": pa.uint64(),
    "content": pa.string(),
    "note": pa.string(),
}


def check_files(
    paths: Sequence[Path],
    *,
    root: Path,
    may_follow: Callable[[Path], bool],
    kept: Path | None = None,
    progress: Progress = silent,
) -> list[Verdict]:
    """Check the headers of audio files and hash their contents, of those that are not known yet.

    Args:
        paths: absolute paths of files, in folders that may be read.
        root: folder of the corpus: files below it are known by their path from there.
        may_follow: whether a file that is a link may be followed to where it leads.
        kept: the file of verdicts; ``None`` keeps none. One that is missing, damaged or of another version is made
            anew. Processes may share it: the last one to end has its say, and what others found is found again.
        progress: called with the number of checked files, of those that are not known.

    Returns:
        A verdict for each file.

    Raises:
        DropinError: `kept` cannot be written.
    """
    known = {} if kept is None else _load(kept)
    names = [_name(os.fspath(path), os.fspath(root)) for path in paths]
    states = list(_in_threads(lambda path: _state(path, may_follow), paths, _STATES_PER_TASK))
    verdicts: list[Verdict | None] = []
    for name, state in zip(names, states, strict=True):
        if isinstance(state, str):
            verdicts.append(Verdict(state))
        else:
            before = known.get(name)
            verdicts.append(before[1] if before is not None and before[0] == state else None)
    unknown = [number for number, verdict in enumerate(verdicts) if verdict is None]
    now, found = time.time_ns(), 0
    examined = closing(_in_threads(_examine, [paths[number] for number in unknown], _FILES_PER_TASK))
    try:
        with examined as new_verdicts:
            for done, (number, verdict) in enumerate(zip(unknown, new_verdicts, strict=True), 1):
                verdicts[number] = verdict
                state = states[number]
                if verdict.fault is None and not isinstance(state, str) and now - max(state[1:3]) > SETTLED_NS:
                    known[names[number]] = (state, verdict)
                    found += 1
                if done % _FILES_PER_TASK == 0 or done == len(unknown):
                    progress("checking audio files", done, len(unknown))
    finally:
        # Also where a first pass over a large corpus is interrupted: the next one goes on from there.
        if found and kept is not None:
            _save(kept, known)
    return [verdict for verdict in verdicts if verdict is not None]


def kept_place(cache: Path, name: str, root: Path) -> Path:
    """The file in the cache with the verdicts on a corpus's files.

    Args:
        cache: the cache folder.
        name: of the corpus.
        root: its folder; every root has a file of its own.
    """
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()
    return cache / "checked-files" / f"{name}-{digest[:16]}.arrow"


def _name(path: str, root: str) -> str:
    # File names need not be UTF-8, and Arrow's texts must.
    name = path[len(root) + 1 :] if path.startswith(root + os.sep) else path
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _state(path: Path, may_follow: Callable[[Path], bool]) -> State | str:
    """The state of a file, or its fault where it has none that could be read."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            if not may_follow(path):
                return OUTSIDE
            found = os.stat(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    # A pipe would never end, and neither would a device.
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _in_threads(work: Callable[[Path], Result], paths: Sequence[Path], size: int) -> Generator[Result, None, None]:
    """What comes of the work on each file, in order. The system, libsndfile and the hash let other threads go on."""
    tasks = [paths[start : start + size] for start in range(0, len(paths), size)]
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for results in pool.map(lambda task: [work(path) for path in task], tasks):
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def _examine(path: Path) -> Verdict:
    fault, note = check_header(path)
    if fault is not None:
        return Verdict(printable(fault))
    try:
        return Verdict(None, content_hash(path), note)
    except OSError as error:
        return Verdict(f"cannot be read ({error.strerror})")


def _load(kept: Path) -> dict[str, tuple[State, Verdict]]:
    try:
        with pa.memory_map(str(kept)) as file:
            table = pa.ipc.open_file(file).read_all()
            if table.schema.names != list(_COLUMNS) or (table.schema.metadata or {}).get(b"version") != VERSION:
                return {}
            table.validate(full=True)
            paths, sizes, mtimes, ctimes, inodes, contents, notes = (column.to_pylist() for column in table.columns)
    except (OSError, ValueError, pa.ArrowException):
        return {}  # none yet, or damaged: all files are checked, and it is written anew
    states = zip(sizes, mtimes, ctimes, inodes, strict=True)
    verdicts = (Verdict(None, content, note) for content, note in zip(contents, notes, strict=True))
    return dict(zip(paths, zip(states, verdicts, strict=True), strict=True))


def _save(kept: Path, known: Mapping[str, tuple[State, Verdict]]) -> None:
    rows = [(path, *state, verdict.content, verdict.note) for path, (state, verdict) in known.items()]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, _COLUMNS.values(), strict=True)]
    schema = pa.schema(_COLUMNS, metadata={b"version": VERSION})
    with into_cache(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=kept.parent) as folder:
            part = Path(folder) / kept.name
            with pa.ipc.new_file(str(part), schema) as writer:
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            os.replace(part, kept)
