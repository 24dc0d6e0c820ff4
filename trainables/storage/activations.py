"""Cache of the outputs of frozen links: a training step starts at the first link that trains.

Where all links below a boundary of a detector are frozen, the activations at the boundary depend on the frozen weights
and on the utterance alone. They are computed once and written into files such as those of features, in a folder named
by a digest of these weights and of the features, so that all trials and runs that freeze the same links share it. One
size limit holds for all of them; the least recently used folders are evicted first.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from trainables.corpora.corpus import Utterance
from trainables.features.batches import batches
from trainables.features.split import Split, SplitWriter
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.storage.lru_folder import evict_least_recently_used, touch

VERSION = 1
"""Part of the digest: raise it when the same weights and features give another file."""

SCORE_TOLERANCE = 1e-3
"""Cached as float16 where that changes the reference detector's scores by no more than this, else as float32."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """Memory layout of the tensors at a boundary in one row of a split.

    Attributes:
        shapes: for each tensor of one utterance, its sizes from the outermost to the innermost dimension in memory.
        orders: for each of these, the index of the dimension without the batch (as `Tensor.dim_order`).
    """

    shapes: tuple[tuple[int, ...], ...]
    orders: tuple[tuple[int, ...], ...]

    @classmethod
    def from_tensors(cls, tensors: Sequence[Tensor]) -> Layout:
        """The layout of tensors ``[batch, ...]``."""
        orders = tuple(tuple(dim - 1 for dim in tensor.dim_order() if dim) for tensor in tensors)
        shapes = tuple(
            tuple(tensor.shape[1 + dim] for dim in order) for tensor, order in zip(tensors, orders, strict=True)
        )
        return cls(shapes, orders)

    def pack(self, tensors: Sequence[Tensor]) -> Tensor:
        """Flatten such tensors to rows ``[batch, entries]`` in memory order."""
        rows = [
            tensor.permute(0, *(1 + dim for dim in order)).flatten(1)
            for tensor, order in zip(tensors, self.orders, strict=True)
        ]
        return torch.cat(rows, dim=1)

    def unpack(self, rows: Tensor) -> list[Tensor]:
        """The inverse of `pack`, strides included; a view of `rows` where there is one tensor."""
        parts = rows.split([math.prod(shape) for shape in self.shapes], dim=1)
        tensors = []
        for part, shape, order in zip(parts, self.shapes, self.orders, strict=True):
            inverse = [1 + order.index(dim) for dim in range(len(order))]
            tensors.append(part.reshape(-1, *shape).permute(0, *inverse))
        return tensors


@dataclass(frozen=True)
class StepInputs:
    """What a training step reads, and the link of the chain that it starts at.

    Attributes:
        train, dev: features, or cached activations at the boundary.
        boundary: how many links the activations replace; 0 for features.
        layout: of the activations in a row of the splits; ``None`` for features.
    """

    train: Split
    dev: Split
    boundary: int = 0
    layout: Layout | None = None

    def forward(self, module: Chain, x: Tensor) -> Tensor:
        """Logits ``[batch, 2]`` of a batch of `train` or `dev`."""
        return module(x) if self.layout is None else module.above(self.layout.unpack(x), self.boundary)


class ActivationCache:
    """Cached activations of a corpus, for one set of features."""

    def __init__(self, folder: Path, features: Path, limit: int) -> None:
        """Cache activations in `folder`, at most `limit` bytes for all runs together; 0 disables the cache.

        Args:
            folder: created when needed.
            features: the feature store's folder; its name is the digest of corpus and front end.
            limit: bytes.
        """
        self.folder, self.features, self.limit = folder, features, limit

    def step_inputs(
        self, module: Chain, arch: Architecture, train: Split, dev: Split, *, device: torch.device, reference: Chain
    ) -> StepInputs:
        """Activations at the highest boundary below which all of `module` is frozen, from the cache or computed now.

        The features themselves where the first link trains, and where the activations would not fit the limit.

        Args:
            module: the detector; trainable parameters require gradients. In evaluation mode afterwards, if activations
                were computed.
            arch: its architecture.
            train, dev: the features.
            device: where the detector is.
            reference: a trained detector with the same frozen links: activations are cached as float16 only if that
                changes its scores of some dev utterances by at most `SCORE_TOLERANCE`.
        """
        boundary = module.frozen_links()
        if not boundary or not self.limit:
            return StepInputs(train, dev)
        folder = self.folder / f"{arch.model}-{self._digest(module, arch, boundary, device)}"
        splits = _open(folder)
        if splits is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):  # one of the trials that need the same activations computes them
                splits = _open(folder)
                if splits is None and self._build(folder, module, boundary, (train, dev), device, reference):
                    splits = _open(folder)
                    evict_least_recently_used(self.folder, self.limit, folder, "dev.arrow")
        if splits is None:
            return StepInputs(train, dev)
        settings = splits[0].settings
        layout = Layout(*(tuple(tuple(row) for row in settings[name]) for name in ("shapes", "orders")))
        return StepInputs(*splits, boundary, layout)

    def _digest(self, module: Chain, arch: Architecture, boundary: int, device: torch.device) -> str:
        """SHA-256 over everything that the activations depend on, shortened."""
        prefixes = tuple(name for link in module.links()[:boundary] for name in link.owns)
        settings = [VERSION, self.features.name, arch.model, arch.config, boundary, device.type]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for key, tensor in module.state_dict().items():
            if key.startswith(prefixes) and not key.endswith("num_batches_tracked"):
                digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:20]

    @torch.inference_mode()
    def _build(
        self,
        folder: Path,
        module: Chain,
        boundary: int,
        splits: tuple[Split, Split],
        device: torch.device,
        reference: Chain,
    ) -> bool:
        """Compute and write the activations of both splits atomically; ``False`` where they would not fit."""
        module.eval()
        index = np.arange(len(splits[1]))
        x, _ = next(batches(splits[1], index, module.scoring_batch, device))
        tensors = module.below(x, boundary)
        layout = Layout.from_tensors(tensors)
        dtype = np.float16 if _float16_suffices(reference, tensors, boundary, device) else np.float32
        entries = sum(math.prod(shape) for shape in layout.shapes)
        needed = entries * np.dtype(dtype).itemsize * sum(len(split) for split in splits)
        if needed > self.limit or needed > shutil.disk_usage(self.folder).free // 2:
            logger.warning("activations not cached: %d bytes needed, the limit is %d bytes", needed, self.limit)
            return False
        settings = {
            "shape": [entries],
            "dtype": np.dtype(dtype).name,
            "shapes": layout.shapes,
            "orders": layout.orders,
            "boundary": boundary,
            "features": self.features.name,
        }
        temporary = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process: no other can hold the lock
        temporary.mkdir()
        for name, split in zip(("train", "dev"), splits, strict=True):
            with SplitWriter(temporary / f"{name}.arrow", settings) as writer:
                for utterance, row in self._rows(module, boundary, split, device, layout):
                    writer.add(utterance, row.astype(dtype))
                writer.finish(split.skipped)
        shutil.rmtree(folder, ignore_errors=True)  # corrupt, or it would have been opened
        os.replace(temporary, folder)
        return True

    def _rows(
        self, module: Chain, boundary: int, split: Split, device: torch.device, layout: Layout
    ) -> Iterator[tuple[Utterance, np.ndarray]]:
        """Each utterance and its row ``[1, entries]``, in the split's order."""
        number = 0
        for x, _ in batches(split, np.arange(len(split)), module.scoring_batch, device):
            rows = layout.pack(module.below(x, boundary)).cpu().numpy()
            for row in rows:
                named = (split.names[number], split.path, int(split.labels[number]))
                yield Utterance(*named, split.speakers[number], split.attacks[number]), row[None]
                number += 1


def _open(folder: Path) -> tuple[Split, Split] | None:
    """The cached train and dev split, or ``None`` where there are none or they are corrupt."""
    try:
        splits = Split(folder / "train.arrow"), Split(folder / "dev.arrow")
        touch(folder)
    except (ValueError, OSError):
        return None
    return splits


def _float16_suffices(reference: Chain, tensors: Sequence[Tensor], boundary: int, device: torch.device) -> bool:
    """Whether rounding these activations to float16 changes no score by more than `SCORE_TOLERANCE`."""
    reference = copy.deepcopy(reference).to(device).eval()
    logits = [reference.above(cached, boundary).double() for cached in (tensors, [t.half().float() for t in tensors])]
    exact, rounded = (pair[:, 1] - pair[:, 0] for pair in logits)
    return bool(((exact - rounded).abs() <= SCORE_TOLERANCE).all())
