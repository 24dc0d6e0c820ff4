"""Feature extraction in several processes: one is spawned and imports what is needed, the workers are its forks.

Importing torch takes longer than a second, so it is done once, and the forks share its memory. Until they are ready,
the calling process works on chunks itself. The workers are not forks of the caller: a fork of a process with threads
(torch's, Ray's, a progress bar's) may hang.

Rows come back through shared memory, one slot for each chunk. Chunks are started and returned in order, and one is
started only when its slot is free, so memory is bounded for any number of chunks.
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
from contextlib import contextmanager, suppress
from ctypes import Array, c_bool, c_char
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Lock, Semaphore
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from trainables.features.windows import Extraction, Job

SLOTS_PER_PROCESS = 3
ORPHAN_SECONDS = 1.0
"""How often a worker that waits for a slot checks whether its parent still exists."""

Outcome = list[int | str]
"""For each file of a chunk the number of its windows, or its fault."""


@dataclass(frozen=True)
class SharedState:
    """State that all processes share.

    Attributes:
        chunks: the pickled chunks, concatenated. In shared memory, since forks would copy the pages of objects that
            they touch, and arguments of a spawned process delay its start.
        ends: offset of the end of each pickled chunk.
        extraction: what to compute.
        slots: shared memory for rows; chunk n uses slot ``n % len(slots)``.
        next_chunk: number of the chunk to start next.
        free_slots: counts the free slots.
        cancelled: whether the remaining chunks are not needed.
        send_lock: held while a worker sends.
        sender: sends ``(number of chunk, outcome or error)`` to the calling process.
    """

    chunks: Array[c_char]
    ends: Sequence[int]
    extraction: Extraction
    slots: Sequence[Array[c_char]]
    next_chunk: Synchronized[int]
    free_slots: Semaphore
    cancelled: c_bool
    send_lock: Lock
    sender: Connection

    def prepare(self) -> None:
        """Do what all workers need before they are forked."""
        self.extraction.prepare()

    def take(self) -> int | None:
        """The number of the next chunk for a process that has acquired a slot; ``None`` when there is none."""
        with self.next_chunk.get_lock():
            number = self.next_chunk.value
            self.next_chunk.value = number + 1
        return None if self.cancelled.value or number >= len(self.ends) else number

    def rows(self, number: int) -> np.ndarray:
        """The slot of a chunk, ``[rows, *shape]``."""
        dtype, shape = self.extraction.dtype, self.extraction.shape
        return np.frombuffer(memoryview(self.slots[number % len(self.slots)]), dtype).reshape(-1, *shape)

    def compute(self, number: int) -> Outcome:
        """Compute the features of a chunk and write them into its slot."""
        rows, used = self.rows(number), 0
        outcome: Outcome = []
        start = self.ends[number - 1] if number else 0
        jobs: Sequence[Job] = pickle.loads(memoryview(self.chunks)[start : self.ends[number]])
        for path, reach in jobs:
            found = self.extraction.windows_or_fault(path, reach)
            if isinstance(found, str):
                outcome.append(found)
            else:
                rows[used : used + len(found)] = found
                used += len(found)
                outcome.append(len(found))
        return outcome

    def work(self) -> None:
        """Main function of a worker: compute chunks until there are no more."""
        parent = os.getppid()
        while True:
            while not self.free_slots.acquire(timeout=ORPHAN_SECONDS):
                if os.getppid() != parent:
                    return
            number = self.take()
            if number is None:
                return
            try:
                outcome: Outcome | Exception = self.compute(number)
            except Exception as error:
                outcome = error
            try:
                with self.send_lock:
                    self.sender.send((number, outcome))
            except BrokenPipeError:
                return  # the caller has closed the receiver

    def collect(self, number: int, outcome: Outcome) -> Iterator[np.ndarray | str]:
        """Copies of the rows that `compute` wrote, and the faults."""
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
    """Features of every file in order, as `extraction.extract` yields them.

    Args:
        chunks: the files.
        extraction: what to compute.
        processes: number of worker processes, besides the calling one.

    Raises:
        RuntimeError: a process died.
        Exception: any error other than ValueError of the computation.
    """
    spawn = multiprocessing.get_context("spawn")
    processes = min(processes, len(chunks))
    state, receiver = _share(chunks, extraction, slots=processes * SLOTS_PER_PROCESS)
    fork_server = spawn.Process(target=serve_forks, args=(state, processes))
    with interrupts_ignored():
        fork_server.start()
    state.sender.close()
    done: dict[int, Iterator[np.ndarray | str]] = {}
    ready = False  # whether workers have started
    try:
        for number in range(len(chunks)):
            while number not in done:
                ready = ready or receiver.poll()
                if not ready and fork_server.is_alive() and state.free_slots.acquire(block=False):
                    if (own := state.take()) is not None:
                        done[own] = iter(extraction.chunk(chunks[own]))
                        continue
                    ready = True
                received, outcome = _receive(receiver, fork_server.sentinel)
                done[received] = state.collect(received, outcome)
            yield from done.pop(number)
            state.free_slots.release()
    finally:
        state.cancelled.value = True
        receiver.close()  # so that no worker blocks on a full pipe
        for _ in range(processes):
            state.free_slots.release()
        if not ready:
            fork_server.terminate()  # it may be importing for seconds
        fork_server.join()


def _share(chunks: Sequence[Sequence[Job]], extraction: Extraction, *, slots: int) -> tuple[SharedState, Connection]:
    """The shared state, and the receiver of its sender."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    most = max(sum(extraction.most_windows(reach) for _, reach in chunk) for chunk in chunks)
    pickled = [pickle.dumps(chunk) for chunk in chunks]
    concatenated = spawn.RawArray(c_char, sum(map(len, pickled)))
    concatenated.raw = b"".join(pickled)
    state = SharedState(
        concatenated,
        list(itertools.accumulate(map(len, pickled))),
        extraction,
        [spawn.RawArray(c_char, most * extraction.row_bytes) for _ in range(slots)],
        spawn.Value("q", 0),
        spawn.Semaphore(slots),
        spawn.RawValue(c_bool, False),
        spawn.Lock(),
        sender,
    )
    return state, receiver


class ForkedWork(Protocol):
    """Work that forks of one process do, which has imported and prepared what they need."""

    sender: Connection

    def prepare(self) -> None:
        """Do what all workers need before they are forked."""

    def work(self) -> None:
        """Work until there is nothing left to do; the main function of a worker."""


def serve_forks(state: ForkedWork, processes: int) -> None:
    """Main function of the spawned process: import, fork the workers, and kill all if one or the caller dies."""
    torch.set_num_threads(1)  # before anything is computed: threads do not survive a fork
    state.prepare()
    gc.collect()
    gc.freeze()  # garbage collection would write to all objects, and so copy their shared pages
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=state.work) for _ in range(processes)]
    for process in workers:
        process.start()
    state.sender.close()
    caller = multiprocessing.parent_process()
    assert caller is not None, "this runs in a spawned process"
    while workers:
        ended = wait([*(process.sentinel for process in workers), caller.sentinel])
        for process in workers:
            if process.sentinel in ended:
                process.join()
        if caller.sentinel in ended or any(process.exitcode for process in workers):
            for process in workers:
                process.kill()
            sys.exit(1)
        workers = [process for process in workers if process.exitcode is None]


def _receive(receiver: Connection, fork_server: int) -> tuple[int, Outcome]:
    number, outcome = receive_or_fail(receiver, fork_server, "computes features")
    if isinstance(outcome, Exception):
        raise outcome
    return number, outcome


def receive_or_fail(receiver: Connection, fork_server: int, doing: str) -> Any:
    """Wait for the next message of the workers.

    Args:
        receiver: of their messages.
        fork_server: sentinel of the process that they are forks of.
        doing: what they do, in words.

    Raises:
        RuntimeError: a process died.
    """
    with suppress(EOFError):  # all senders died without a message
        if receiver in wait([receiver, fork_server]):
            return receiver.recv()
    raise RuntimeError(
        f"a process that {doing} died: not enough memory, or the main script has no guard "
        '`if __name__ == "__main__":`; with workers=1 no processes are needed'
    )


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Let processes that are started within ignore Ctrl-C, which a terminal sends to all; the caller handles it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
