"""Chunks of files worked on by several processes: one is spawned and imports what is needed, the others are its forks.

Importing torch takes longer than a second, so it is done once; what it holds of memory, the forks share. The process
that asks works on chunks itself until they are there. Not forks of that one: a fork of a process with threads (torch's,
Ray's, a progress bar's) may hang.

Rows come back through shared memory, in a slot a chunk. Chunks are begun and given back in order, and one is begun only
when the slot it will use is free, so memory is bounded however many chunks there are.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from ctypes import Array, c_bool, c_char
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Lock, Semaphore
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from trainables.features.windows import Extraction, Job

SLOTS_PER_PROCESS = 3
ORPHAN_SECONDS = 1.0
"""How often a process that waits for a slot looks whether it has been left alone."""

Outcome = list[int | str]
"""For each file of a chunk the number of its windows, or what is wrong with it."""


@dataclass(frozen=True)
class Bench:
    """What the processes share.

    Attributes:
        work: the chunks, pickled one after the other: of objects that forks touch, each would have a copy, and what is
            handed to a spawned process holds up the one that spawns it.
        ends: where each of them ends.
        extraction: what to do with it.
        slots: rows of chunks that are done; chunk n uses slot ``n % slots``.
        begun: how many chunks have been begun.
        free: slots that are free.
        over: whether nobody wants the rest.
        telling: one tells at a time.
        teller: takes ``(number of chunk, outcome or error)``.
    """

    work: Array[c_char]
    ends: Sequence[int]
    extraction: Extraction
    slots: Sequence[Array[c_char]]
    begun: Synchronized[int]
    free: Semaphore
    over: c_bool
    telling: Lock
    teller: Connection

    def take(self) -> int | None:
        """The next chunk, for whoever holds a free slot; ``None`` when there is none."""
        with self.begun.get_lock():
            number = self.begun.value
            self.begun.value = number + 1
        return None if self.over.value or number >= len(self.ends) else number

    def rows(self, number: int) -> np.ndarray:
        """The slot of a chunk, ``[rows, *shape]``."""
        what = self.extraction
        return np.frombuffer(memoryview(self.slots[number % len(self.slots)]), what.dtype).reshape(-1, *what.shape)

    def lay(self, number: int) -> Outcome:
        """Work on a chunk and put its rows into its slot."""
        rows, used = self.rows(number), 0
        outcome: Outcome = []
        begin = self.ends[number - 1] if number else 0
        jobs: Sequence[Job] = pickle.loads(memoryview(self.work)[begin : self.ends[number]])
        for path, reach in jobs:
            found = self.extraction.attempt(path, reach)
            if isinstance(found, str):
                outcome.append(found)
            else:
                rows[used : used + len(found)] = found
                used += len(found)
                outcome.append(len(found))
        return outcome

    def collect(self, number: int, outcome: Outcome) -> Iterator[np.ndarray | str]:
        """What `lay` put there, copied."""
        rows, used = self.rows(number), 0
        for found in outcome:
            if isinstance(found, int):
                yield rows[used : used + found].copy()
                used += found
            else:
                yield found


def in_processes(
    chunks: Sequence[Sequence[Job]], extraction: Extraction, processes: int
) -> Generator[np.ndarray | str, None, None]:
    """Features of every file in order, as `extraction.extract` gives them.

    Args:
        chunks: the files.
        extraction: what to compute.
        processes: how many, besides this one, which writes down what they find.

    Raises:
        RuntimeError: a process died.
        Exception: what computing raised other than ValueError.
    """
    spawn = multiprocessing.get_context("spawn")
    processes = min(processes, len(chunks))
    receiver, teller = spawn.Pipe(duplex=False)
    most = max(sum(extraction.most_windows(reach) for _, reach in chunk) for chunk in chunks)
    slot = most * extraction.row_bytes
    slots = processes * SLOTS_PER_PROCESS
    pickled = [pickle.dumps(chunk) for chunk in chunks]
    whole = spawn.RawArray(c_char, sum(map(len, pickled)))
    whole.raw = b"".join(pickled)
    bench = Bench(
        whole,
        list(itertools.accumulate(map(len, pickled))),
        extraction,
        [spawn.RawArray(c_char, slot) for _ in range(slots)],
        spawn.Value("q", 0),
        spawn.Semaphore(slots),
        spawn.RawValue(c_bool, False),
        spawn.Lock(),
        teller,
    )
    leader = spawn.Process(target=lead, args=(bench, processes))
    with _interrupts_ignored():
        leader.start()
    teller.close()
    done: dict[int, Iterator[np.ndarray | str]] = {}
    up = False
    try:
        for number in range(len(chunks)):
            while number not in done:
                up = up or receiver.poll()
                if not up and leader.is_alive() and bench.free.acquire(block=False):
                    if (own := bench.take()) is not None:
                        done[own] = iter(extraction.chunk(chunks[own]))
                        continue
                    up = True
                told, outcome = _hear(receiver, leader.sentinel)
                done[told] = bench.collect(told, outcome)
            yield from done.pop(number)
            bench.free.release()
    finally:
        bench.over.value = True
        receiver.close()  # nobody waits for room in the pipe any more
        for _ in range(processes):
            bench.free.release()
        if not up:
            leader.terminate()  # it may be at an import of seconds
        leader.join()


def lead(bench: Bench, processes: int) -> None:
    """Be the spawned process: prepare, fork, and end all when one dies or the parent has."""
    torch.set_num_threads(1)  # before anything is computed: threads do not survive a fork
    bench.extraction.prepare()
    gc.collect()
    gc.freeze()  # what is there now stays shared: collecting garbage would write to all of it
    fork = multiprocessing.get_context("fork")
    crew = [fork.Process(target=work, args=(bench,)) for _ in range(processes)]
    for process in crew:
        process.start()
    bench.teller.close()
    above = multiprocessing.parent_process()
    assert above is not None, "this runs in a process that was spawned"
    while crew:
        ended = wait([*(process.sentinel for process in crew), above.sentinel])
        for process in crew:
            if process.sentinel in ended:
                process.join()
        if above.sentinel in ended or any(process.exitcode for process in crew):
            for process in crew:
                process.kill()
            sys.exit(1)
        crew = [process for process in crew if process.exitcode is None]


def work(bench: Bench) -> None:
    """Be a fork: work on chunks while there are any."""
    leader = os.getppid()
    while True:
        while not bench.free.acquire(timeout=ORPHAN_SECONDS):
            if os.getppid() != leader:
                return
        number = bench.take()
        if number is None:
            return
        try:
            outcome: Outcome | Exception = bench.lay(number)
        except Exception as error:
            outcome = error
        try:
            with bench.telling:
                bench.teller.send((number, outcome))
        except BrokenPipeError:
            return  # nobody listens any more


def _hear(receiver: Connection, leader: int) -> tuple[int, Outcome]:
    try:
        if receiver in wait([receiver, leader]):
            number, outcome = receiver.recv()
            if isinstance(outcome, Exception):
                raise outcome
            return number, outcome
    except EOFError:
        pass  # it died with nothing said, as when the leader ends: told below
    raise RuntimeError(
        "a process that computes features died: not enough memory, or the script that was started lacks its "
        'guard `if __name__ == "__main__":`; with workers=1 no processes are needed'
    )


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C: it reaches all of a terminal's, and this one decides what it means."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
