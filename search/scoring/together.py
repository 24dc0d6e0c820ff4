"""Files scored by several detectors at once, in order and in bounded memory, by several processes where these help."""

from __future__ import annotations

import itertools
import operator
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from search.scoring.batch_scorer import BatchScorer
from search.scoring.scored import Scored
from search.scoring.scorer import Scorer
from search.scoring.sources import Sources
from search.scoring.window_extraction import Source
from search.scoring.workers import ChunkScored, PieceExtracted, Pool
from trainables.audio.reading import mono_16k
from trainables.errors import DropinError

CHUNK_FILES = 32
CHUNK_BYTES = 2**23
CHUNKS_PER_PROCESS = 3
"""Chunks under way for each process."""
POOL_START_SECONDS = 4.0
"""Work below which starting processes that import torch takes longer than it saves."""


def score_together(
    scorers: Sequence[Scorer], files: Iterable[str | os.PathLike[str]], *, workers: int | None = None
) -> Iterator[list[Scored]]:
    """Score every file by every scorer.

    A file is decoded once, and transformed once for all scorers of one front end, window and hop. Windows of different
    files share batches.

    Args:
        scorers: at least one.
        files: paths, taken from the iterable as they are needed. A pipe is read to its end first.
        workers: number of processes; 1 for the calling one; by default one per CPU where the files take long enough.

    Yields:
        For each file, in order, what became of it by each scorer.

    Raises:
        DropinError: no scorer, or `workers` is less than 1.
        RuntimeError: a process died.
    """
    if not scorers:
        raise DropinError("scorers must be at least one; got none")
    if workers is not None and workers < 1:
        raise DropinError(f"workers must be at least 1; got {workers}")
    return _scored(scorers, files, workers)


def score_files(
    scorer: Scorer, files: Iterable[str | os.PathLike[str]], *, workers: int | None = None
) -> Iterator[Scored]:
    """Score files in order by one detector; one that cannot be used gets an error and the rest goes on.

    Args:
        scorer: the detector.
        files: paths.
        workers: see `score_together`.
    """
    for (one,) in score_together([scorer], files, workers=workers):
        yield one


def score_waveform(scorer: Scorer, waveform: npt.ArrayLike, sample_rate: int) -> Scored:
    """Score one waveform as a file of these samples is scored.

    Args:
        scorer: the detector.
        waveform: ``[samples]`` or ``[samples, channels]``, full scale at -1 and 1.
        sample_rate: in Hz.

    Raises:
        DropinError: no samples, other dimensions, a sample that is not finite, an unusable sample rate, or no signal.
    """
    audio = mono_16k(np.asarray(waveform, dtype=np.float32), sample_rate)
    (found,) = BatchScorer([scorer]).score_waveform(audio, "the waveform")
    if found.error is not None:
        raise DropinError(found.error)
    return found


def _scored(
    scorers: Sequence[Scorer], files: Iterable[str | os.PathLike[str]], workers: int | None
) -> Iterator[list[Scored]]:
    length = operator.length_hint(files, -1)
    batch_scorer = BatchScorer(scorers)
    with Sources() as sources:
        left = map(sources.source, files)
        if workers is None:
            # The first file is not timed: with it a process imports and precomputes.
            yield from _here(batch_scorer, sources, list(itertools.islice(left, 1)))
        chunks, seconds, done = _chunks(left), 0.0, 1
        while workers is None:
            if not (chunk := next(chunks, [])):
                return
            began = time.monotonic()
            found = _here(batch_scorer, sources, chunk)
            seconds, done = seconds + time.monotonic() - began, done + len(chunk)
            yield from found
            workers = _worthwhile_workers(seconds, done, length)
        if workers == 1:
            for chunk in chunks:
                yield from _here(batch_scorer, sources, chunk)
        else:
            yield from _in_processes(batch_scorer, sources, chunks, workers)


def _chunks(left: Iterator[Source]) -> Iterator[list[Source]]:
    """Files in chunks of at most `CHUNK_FILES`, and of one more than `CHUNK_BYTES` hold: long ones are on their own."""
    chunk: list[Source] = []
    for source in left:
        chunk.append(source)
        if len(chunk) == CHUNK_FILES or sum(one.size for one in chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _here(batch_scorer: BatchScorer, sources: Sources, chunk: Sequence[Source]) -> list[list[Scored]]:
    """Some files, scored in this process."""
    found = batch_scorer.score(chunk)
    for source in chunk:
        sources.release(source)
    return found


def _worthwhile_workers(seconds: float, done: int, length: int) -> int | None:
    """How many processes to have after so many seconds for so many files; ``None`` while that is open.

    If nobody knows how many files there are, as many are expected as there have been.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cpus == 1:
        return 1
    if length >= 0:
        return cpus if seconds / done * (length - done) > POOL_START_SECONDS else 1
    return cpus if seconds > POOL_START_SECONDS else None


def _in_processes(
    batch_scorer: BatchScorer, sources: Sources, chunks: Iterator[list[Source]], processes: int
) -> Iterator[list[Scored]]:
    """The rest of the files. Until the processes are ready, this one works on chunks itself."""
    under_way: dict[int, Sequence[Source]] = {}
    done: dict[int, list[list[Scored]]] = {}
    begun = following = 0
    with Pool(batch_scorer.scorers, processes) as pool:
        while not pool.is_ready():
            if not (chunk := next(chunks, [])):
                return
            yield from _here(batch_scorer, sources, chunk)
        while True:
            while begun - following < processes * CHUNKS_PER_PROCESS:
                if not (chunk := next(chunks, [])):
                    break
                pool.submit(begun, chunk)
                under_way[begun] = chunk
                begun += 1
            if following == begun:
                return
            while following not in done:
                number, results = _next_chunk(batch_scorer, pool, under_way)
                done[number] = results
                for source in under_way.pop(number):
                    sources.release(source)
            yield from done.pop(following)
            following += 1


def _next_chunk(
    batch_scorer: BatchScorer, pool: Pool, under_way: Mapping[int, Sequence[Source]]
) -> tuple[int, list[list[Scored]]]:
    """Number and results of the next chunk that is complete. Pieces that come before are scored here."""
    while True:
        message = pool.receive()
        if isinstance(message, ChunkScored):
            return message.number, message.results
        files = [message.number * CHUNK_FILES + file for file in range(len(under_way[message.number]))]
        for file, source in zip(files, under_way[message.number], strict=True):
            batch_scorer.begin(file, source.name)
        if isinstance(message, PieceExtracted):
            batch_scorer.take(files[message.file], message.piece)
        else:
            for file, (error, notes) in zip(files, message.ends, strict=True):
                batch_scorer.end(file, error, notes)
            batch_scorer.flush()
            return message.number, [batch_scorer.result(file) for file in files]
