"""Scoring in several processes: forks of one that has read the detectors, each of which scores whole chunks.

Where networks run on a GPU, the workers make features only, and the calling process scores these piece by piece.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Lock
from types import TracebackType
from typing import Any

import safetensors.torch
import torch

from search.scoring.batch_scorer import BatchScorer
from search.scoring.scored import Scored
from search.scoring.scorer import Scorer
from search.scoring.window_extraction import Piece, Source, WindowExtractor, WindowSpec
from search.scoring.windowing import Windowing
from trainables.features.processes import ORPHAN_SECONDS, interrupts_ignored, receive_or_fail, serve_forks
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import Detector

Chunk = Sequence[Source]
LAST_CHUNK_SECONDS = 5.0
"""How long workers may take to finish when nobody waits for what they do any more; then they are left to end alone."""


@dataclass(frozen=True)
class PackedScorer:
    """A scorer on its way to another process."""

    architecture: str
    weights: bytes
    card: dict[str, Any]
    windowing: Windowing

    @staticmethod
    def of(scorer: Scorer) -> PackedScorer:
        """Pack."""
        detector = scorer.detector
        state = {
            name: value.detach().cpu().contiguous().clone() for name, value in detector.module.state_dict().items()
        }
        return PackedScorer(detector.arch.to_json(), safetensors.torch.save(state), detector.card, scorer.windowing)

    def unpacked(self) -> Scorer:
        """Unpack."""
        arch = Architecture.from_json(self.architecture)
        module = arch.build()
        module.load_state_dict(safetensors.torch.load(self.weights))
        return Scorer(Detector(arch, module.eval(), self.card), self.windowing)


@dataclass(frozen=True)
class Ready:
    """The workers begin."""


@dataclass(frozen=True)
class ChunkScored:
    """Results of a chunk: for each file one per scorer."""

    number: int
    results: list[list[Scored]]


@dataclass(frozen=True)
class PieceExtracted:
    """A piece of a file of a chunk, for the caller to score."""

    number: int
    file: int
    piece: Piece


@dataclass(frozen=True)
class ChunkExtracted:
    """All pieces of a chunk were sent; for each file its error, if any, and its notes."""

    number: int
    ends: list[tuple[str | None, list[str]]]


@dataclass
class Work:
    """What the workers share.

    Attributes:
        specs: what windows they extract.
        tasks: the scorers first, none where the workers only extract windows; then numbered chunks; ``None`` for no
            more. The scorers are no attribute: a process that is spawned with large ones keeps its parent waiting.
        sender: to the caller.
        send_lock: held while a worker sends.
    """

    specs: Sequence[WindowSpec]
    tasks: Queue[Any]
    sender: Connection
    send_lock: Lock
    _batch_scorer: BatchScorer | None = field(default=None, init=False)
    _extractor: WindowExtractor | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Build the networks and precompute, before the forks."""
        packed: Sequence[PackedScorer] = self.tasks.get()
        if packed:
            self._batch_scorer = BatchScorer([one.unpacked() for one in packed])
        self._extractor = self._batch_scorer.extractor if self._batch_scorer else WindowExtractor(self.specs)
        self._extractor.prepare()
        self._send(Ready())

    def work(self) -> None:
        """Carry out chunks until there are no more, or nobody is left to do it for."""
        parent = os.getppid()
        while True:
            try:
                task = self.tasks.get(timeout=ORPHAN_SECONDS)
            except queue.Empty:
                if os.getppid() != parent:
                    return
                continue
            if task is None:
                return
            try:
                self._carry_out(*task)
            except BrokenPipeError:
                return  # the caller has closed the receiver
            except Exception as error:
                self._send(error)

    def _carry_out(self, number: int, chunk: Chunk) -> None:
        if self._batch_scorer is not None:
            self._send(ChunkScored(number, self._batch_scorer.score(chunk)))
            return
        assert self._extractor is not None, "it was prepared"
        torch.set_num_threads(1)
        ends: list[tuple[str | None, list[str]]] = []
        for file, source in enumerate(chunk):
            notes: list[str] = []
            error: str | None = None
            try:
                for piece in self._extractor.pieces(source, notes):
                    self._send(PieceExtracted(number, file, piece))
            except ValueError as fault:
                error = source.told(fault)
            ends.append((error, notes))
        self._send(ChunkExtracted(number, ends))

    def _send(self, message: object) -> None:
        with self.send_lock:
            self.sender.send(message)


class Pool:
    """Processes that carry out chunks. A context manager."""

    def __init__(self, scorers: Sequence[Scorer], processes: int) -> None:
        """Have `processes` processes for these scorers."""
        self._scorers, self._processes = scorers, processes
        self._ready = False

    def __enter__(self) -> Pool:
        """Start them."""
        spawn = multiprocessing.get_context("spawn")
        self._receiver, sender = spawn.Pipe(duplex=False)
        self._tasks: Queue[Any] = spawn.Queue()
        there = any(one.device.type != "cpu" for one in self._scorers)  # networks stay where they are
        packed = () if there else [PackedScorer.of(one) for one in self._scorers]
        specs = list(dict.fromkeys(one.spec for one in self._scorers))
        # Kept: the processes open the lock by its name, which goes when nobody here has it any more.
        self._work = work = Work(specs, self._tasks, sender, spawn.Lock())
        self._server = spawn.Process(target=serve_forks, args=(work, self._processes))
        with interrupts_ignored():
            self._server.start()
        self._tasks.put(packed)
        sender.close()
        return self

    def submit(self, number: int, chunk: Chunk) -> None:
        """Have a chunk carried out."""
        self._tasks.put((number, chunk))

    def is_ready(self) -> bool:
        """Whether the processes have started. Nothing is submitted before.

        Raises:
            RuntimeError: they died.
        """
        if not self._ready and (self._receiver.poll() or not self._server.is_alive()):
            self._ready = isinstance(self._message(), Ready)
        return self._ready

    def receive(self) -> ChunkScored | PieceExtracted | ChunkExtracted:
        """Wait for the next message.

        Raises:
            RuntimeError: a process died.
            Exception: whatever went wrong in one.
        """
        message: ChunkScored | PieceExtracted | ChunkExtracted = self._message()
        return message

    def _message(self) -> Any:
        message = receive_or_fail(self._receiver, self._server.sentinel, "scores")
        if isinstance(message, Exception):
            raise message
        return message

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        self._receiver.close()  # so that no worker blocks on a full pipe: one that sends is over
        if self._ready:
            for _ in range(self._processes):
                self._tasks.put(None)
            self._server.join(LAST_CHUNK_SECONDS)
        self._server.terminate()  # it may be importing for seconds
        self._server.join()
        self._tasks.close()
        if self._server.exitcode:
            self._tasks.cancel_join_thread()  # nobody takes what it may still have to hand over
        else:
            self._tasks.join_thread()
