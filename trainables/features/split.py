"""Features of a split as an Arrow IPC file: written as a stream, memory-mapped for reading.

A row is one segment; the rows of an utterance are adjacent, window 0 first. The last, empty record batch has the
summary, which is known only at the end; a file without it is truncated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.corpora.corpus import Utterance
from trainables.errors import DropinError
from trainables.features.waveform import standardised

RECORD_BATCH_BYTES = 2**23
SETTINGS_KEY = b"settings"
SUMMARY_KEY = b"summary"
UTTERANCE = {"name": pa.string(), "label": pa.int8(), "speaker": pa.string(), "attack": pa.string()}
LABELS = pa.schema({"window": pa.int32(), **UTTERANCE})


class SplitWriter:
    """Writes the file of a split, utterance by utterance, with at most one record batch (8 MiB) in memory.

    As a context manager it closes the file; `Split` refuses a file that was closed without `finish`.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open `path` for writing.

        Args:
            path: a new file in an existing folder.
            settings: JSON types, read back as `Split.settings`; with ``shape`` and ``dtype`` (its name) of a row.
        """
        self._shape = tuple(settings["shape"])
        width = int(np.prod(self._shape))
        dtype = np.dtype(settings["dtype"])
        rows = max(1, RECORD_BATCH_BYTES // (width * dtype.itemsize))
        self._features = np.empty((rows, width), dtype)
        self._labels: list[dict[str, Any]] = []
        self._rows = self._utterances = 0
        features = pa.field("features", pa.list_(pa.from_numpy_dtype(dtype), width))
        self._schema = LABELS.append(features).with_metadata({SETTINGS_KEY: json.dumps(dict(settings))})
        self._writer = pa.ipc.new_file(str(path), self._schema)

    def add(self, utterance: Utterance, windows: np.ndarray) -> None:
        """Append an utterance.

        Args:
            utterance: the utterance.
            windows: its features ``[windows, *shape]``, at least one window.
        """
        assert windows.shape == (len(windows), *self._shape)
        assert windows.dtype == self._features.dtype
        for number, window in enumerate(windows):
            self._features[len(self._labels)] = window.reshape(-1)
            self._labels.append({"window": number, **{name: getattr(utterance, name) for name in UTTERANCE}})
            if len(self._labels) == len(self._features):
                self._flush()
        self._utterances += 1

    def finish(self, skipped: Sequence[str]) -> None:
        """Write the remaining rows and the summary.

        Args:
            skipped: a line for each utterance that was left out, with its fault.
        """
        if self._labels:
            self._flush()
        summary = {"utterances": self._utterances, "rows": self._rows, "skipped": list(skipped)}
        empty = pa.RecordBatch.from_pylist([], schema=self._schema)
        self._writer.write_batch(empty, custom_metadata={SUMMARY_KEY: json.dumps(summary)})

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._writer.close()

    def _flush(self) -> None:
        rows = len(self._labels)
        values = self._features[:rows].reshape(-1)  # no copy: written before the buffer is used again
        features = pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), values.size, [None, pa.py_buffer(values)])
        columns = pa.RecordBatch.from_pylist(self._labels, schema=LABELS).columns
        columns.append(pa.FixedSizeListArray.from_arrays(features, self._features.shape[1]))
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._rows += rows
        self._labels.clear()


class Split:
    """Features and labels of a split in a memory-mapped file: it opens in milliseconds, and processes share the memory.

    Attributes:
        path: the file.
        settings: of the features.
        shape: of one utterance's features in `batch`.
        skipped: a line for each utterance of the corpus that was left out, with its fault.
        labels: int64 ``[n]``, 1 bona fide, 0 spoof; read-only.
    """

    def __init__(self, path: Path) -> None:
        """Map a file that `SplitWriter` wrote.

        Raises:
            DropinError: the file is missing, truncated, damaged, or no feature file.
        """
        self.path = path
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            last = reader.num_record_batches - 1
            summary = json.loads(reader.get_batch_with_custom_metadata(last).custom_metadata[SUMMARY_KEY])
            self.settings: dict[str, Any] = json.loads(reader.schema.metadata[SETTINGS_KEY])
            self._batches = [reader.get_batch(number) for number in range(last)]
        except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
            raise DropinError(
                f"a split must be an intact feature file; {path}: {error}; build the features again"
            ) from error
        if not 0 < summary["rows"] == sum(batch.num_rows for batch in self._batches):
            raise DropinError(f"a split must be an intact feature file; {path} lacks rows; build the features again")
        self.shape: tuple[int, ...] = tuple(self.settings["shape"])
        self.skipped: tuple[str, ...] = tuple(summary["skipped"])
        self._rows = [batch.column("features").flatten().to_numpy().reshape(-1, *self.shape) for batch in self._batches]
        self._ends = np.cumsum([len(rows) for rows in self._rows])
        self._firsts = np.flatnonzero(self._column("window") == 0)
        self._windows = np.diff(self._firsts, append=summary["rows"])
        self.labels: np.ndarray = self._column("label")[self._firsts].astype(np.int64)
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self._firsts)

    @cached_property
    def names(self) -> np.ndarray:
        """Names of the utterances, str objects ``[n]``."""
        return self._column("name")[self._firsts]

    @cached_property
    def speakers(self) -> np.ndarray:
        """Speakers, str objects ``[n]``; ``-`` for unknown ones."""
        return self._column("speaker")[self._firsts]

    @cached_property
    def attacks(self) -> np.ndarray:
        """Attacks, str objects ``[n]``; ``-`` for bona fide utterances."""
        return self._column("attack")[self._firsts]

    def batch(self, indices: np.ndarray | Sequence[int], rng: np.random.Generator | None = None) -> np.ndarray:
        """Input features of some utterances.

        Args:
            indices: ``[b]`` of ``0 .. len - 1``.
            rng: draws one of an utterance's windows, if the features were built for random cropping; the first window
                without it.

        Returns:
            float32 ``[b, *shape]``, a new array.

        Raises:
            IndexError: an index out of range.
        """
        index = np.asarray(indices, np.int64)
        rows = self._firsts[index]
        if rng is not None:
            rows = rows + rng.integers(self._windows[index])
        batches = np.searchsorted(self._ends, rows, side="right")
        half = self._rows[0].dtype == np.float16
        out = np.empty((len(rows), *self.shape), np.float16 if half else np.float32)
        for position, (row, batch) in enumerate(zip(rows, batches, strict=True)):
            # A negative index, which counts from the end of the record batch.
            features = self._rows[batch][row - self._ends[batch]]
            out[position] = standardised(features) if features.dtype == np.int16 else features
        return _to_float32(out) if half else out

    def _column(self, name: str) -> np.ndarray:
        parts = [batch.column(name).to_numpy(zero_copy_only=False) for batch in self._batches]
        return np.concatenate(parts)


def _to_float32(values: np.ndarray) -> np.ndarray:
    """float16 as float32. torch converts many times as fast as numpy; it is not needed to open a split."""
    import torch

    converted: np.ndarray = torch.from_numpy(values).float().numpy()
    return converted
