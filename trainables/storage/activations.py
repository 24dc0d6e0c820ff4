"""Outputs of frozen links, computed once for each corpus and kept like features: a step begins where something trains.

Where everything below a boundary of a detector is frozen, what lies there depends on the frozen weights and on the
utterance alone. It is written into files such as those of features, in a folder addressed by a digest of these weights
and of the features, so that all trials and runs that freeze the same links share it. A size limit holds for all of them
together; the least recently used go first.
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
from trainables.storage.lru_folder import evict_least_recently_used, used

VERSION = 1
"""Part of the address: raise it when the same weights and features give another file."""

SCORE_TOLERANCE = 1e-3
"""Kept as float16 where the checking detector's scores move by no more than this, else as float32."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """How the tensors at a boundary lie in a row.

    Attributes:
        shapes: of each tensor of one utterance, its dimensions from outermost to innermost in memory.
        orders: which dimension, counted without the batch, each of these is.
    """

    shapes: tuple[tuple[int, ...], ...]
    orders: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> Layout:
        """The layout of tensors ``[batch, ...]``."""
        orders = tuple(tuple(dim - 1 for dim in tensor.dim_order() if dim) for tensor in tensors)
        shapes = tuple(
            tuple(tensor.shape[1 + dim] for dim in order) for tensor, order in zip(tensors, orders, strict=True)
        )
        return cls(shapes, orders)

    def pack(self, tensors: Sequence[Tensor]) -> Tensor:
        """Rows ``[batch, entries]`` of such tensors, in the order of their memory."""
        rows = [
            tensor.permute(0, *(1 + dim for dim in order)).flatten(1)
            for tensor, order in zip(tensors, self.orders, strict=True)
        ]
        return torch.cat(rows, dim=1)

    def unpack(self, rows: Tensor) -> list[Tensor]:
        """The inverse of `pack`, strides included; views of `rows` where there is one tensor."""
        parts = rows.split([math.prod(shape) for shape in self.shapes], dim=1)
        tensors = []
        for part, shape, order in zip(parts, self.shapes, self.orders, strict=True):
            back = [1 + order.index(dim) for dim in range(len(order))]
            tensors.append(part.reshape(-1, *shape).permute(0, *back))
        return tensors


@dataclass(frozen=True)
class StepInputs:
    """What a detector is fed, and where in its chain that enters.

    Attributes:
        train, dev: features, or what lies at the boundary.
        boundary: links that the feed stands for; 0 for features.
        layout: how the tensors lie in a row of the splits; ``None`` for features.
    """

    train: Split
    dev: Split
    boundary: int = 0
    layout: Layout | None = None

    def forward(self, module: Chain, x: Tensor) -> Tensor:
        """Logits ``[batch, 2]`` of a batch of `train` or `dev`."""
        return module(x) if self.layout is None else module.above(self.layout.unpack(x), self.boundary)


class ActivationCache:
    """The folder of a corpus' activations, for one set of features."""

    def __init__(self, folder: Path, features: Path, limit: int) -> None:
        """Keep activations in `folder`, of all runs together at most `limit` bytes; 0 keeps none.

        Args:
            folder: made when it is needed.
            features: the feature store's folder; its name is the digest of corpus and front end.
            limit: bytes.
        """
        self.folder, self.features, self.limit = folder, features, limit

    def feed(
        self, module: Chain, arch: Architecture, train: Split, dev: Split, *, device: torch.device, check: Chain
    ) -> StepInputs:
        """The feed that begins at the highest boundary below which nothing of `module` trains.

        The features themselves where the first link trains, and where the activations would not fit.

        Args:
            module: the detector; what trains requires gradients. In evaluation mode afterwards, if anything is built.
            arch: its architecture.
            train, dev: the features.
            device: where the detector is.
            check: a trained detector of the same frozen links: float16 has to leave its scores of some dev utterances
                within `SCORE_TOLERANCE`.
        """
        boundary = module.frozen_links()
        if not boundary or not self.limit:
            return StepInputs(train, dev)
        place = self.folder / f"{arch.model}-{self._digest(module, arch, boundary, device)}"
        opened = _open(place)
        if opened is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):  # of trials that want the same, one builds
                opened = _open(place)
                if opened is None and self._build(place, module, boundary, (train, dev), device, check):
                    opened = _open(place)
                    evict_least_recently_used(self.folder, self.limit, place, "dev.arrow")
        if opened is None:
            return StepInputs(train, dev)
        settings = opened[0].settings
        layout = Layout(*(tuple(tuple(row) for row in settings[name]) for name in ("shapes", "orders")))
        return StepInputs(*opened, boundary, layout)

    def _digest(self, module: Chain, arch: Architecture, boundary: int, device: torch.device) -> str:
        """Over everything that the activations depend on."""
        owned = tuple(name for link in module.links()[:boundary] for name in link.owns)
        about = [VERSION, self.features.name, arch.model, arch.config, boundary, device.type]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for key, tensor in module.state_dict().items():
            if key.startswith(owned) and not key.endswith("num_batches_tracked"):
                digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:20]

    @torch.inference_mode()
    def _build(
        self,
        place: Path,
        module: Chain,
        boundary: int,
        splits: tuple[Split, Split],
        device: torch.device,
        check: Chain,
    ) -> bool:
        """Compute both splits and put them in place whole; whether there was room."""
        module.eval()
        every = np.arange(len(splits[1]))
        x, _ = next(batches(splits[1], every, module.scoring_batch, device))
        tensors = module.below(x, boundary)
        layout = Layout.of(tensors)
        dtype = np.float16 if _survive_rounding(check, tensors, boundary, device) else np.float32
        entries = sum(math.prod(shape) for shape in layout.shapes)
        needed = entries * np.dtype(dtype).itemsize * sum(len(split) for split in splits)
        if needed > self.limit or needed > shutil.disk_usage(self.folder).free // 2:
            logger.warning("activations of %d bytes are not kept: the limit is %d bytes", needed, self.limit)
            return False
        settings = {
            "shape": [entries],
            "dtype": np.dtype(dtype).name,
            "shapes": layout.shapes,
            "orders": layout.orders,
            "boundary": boundary,
            "features": self.features.name,
        }
        part = place.with_name(f".{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed; the lock says that none is at work
        part.mkdir()
        for name, split in zip(("train", "dev"), splits, strict=True):
            with SplitWriter(part / f"{name}.arrow", settings) as writer:
                for utterance, row in self._rows(module, boundary, split, device, layout):
                    writer.add(utterance, row.astype(dtype))
                writer.finish(split.skipped)
        shutil.rmtree(place, ignore_errors=True)  # damaged, or it would have been opened
        os.replace(part, place)
        return True

    def _rows(
        self, module: Chain, boundary: int, split: Split, device: torch.device, layout: Layout
    ) -> Iterator[tuple[Utterance, np.ndarray]]:
        """Every utterance with its row ``[1, entries]``, in the split's order."""
        number = 0
        for x, _ in batches(split, np.arange(len(split)), module.scoring_batch, device):
            rows = layout.pack(module.below(x, boundary)).cpu().numpy()
            for row in rows:
                about = (split.names[number], split.path, int(split.labels[number]))
                yield Utterance(*about, split.speakers[number], split.attacks[number]), row[None]
                number += 1


def _open(place: Path) -> tuple[Split, Split] | None:
    try:
        opened = Split(place / "train.arrow"), Split(place / "dev.arrow")
        used(place)
    except (ValueError, OSError):
        return None
    return opened


def _survive_rounding(check: Chain, tensors: Sequence[Tensor], boundary: int, device: torch.device) -> bool:
    """Whether scores from these tensors stay what they are when the tensors are rounded to float16."""
    check = copy.deepcopy(check).to(device).eval()
    logits = [check.above(kept, boundary).double() for kept in (tensors, [t.half().float() for t in tensors])]
    before, after = (found[:, 1] - found[:, 0] for found in logits)
    return bool(((before - after).abs() <= SCORE_TOLERANCE).all())
