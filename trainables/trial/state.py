"""The full state of a trial between two epochs, as a folder of safetensors and JSON with digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import read_folder, write_folder
from trainables.surgery import moments as adam

PARTS = ("model", "moments", "best", "snapshot", "original", "rng_state")


@dataclass(frozen=True)
class TrialState:
    """A trial between two epochs.

    Attributes:
        arch: architecture of the current detector.
        model: its state dict.
        moments: of the optimiser.
        best: state dict of the best detector so far, or ``None``.
        snapshot: state dict to rewind to, or ``None``.
        original: by site, which neurons the base had.
        metadata: epoch, seed, plan, best (EER, threshold, epoch, interval), order (state of the generator that
            shuffles), from_growth_cache: JSON types.
    """

    arch: Architecture
    model: Mapping[str, Tensor]
    moments: adam.Moments
    best: Mapping[str, Tensor] | None
    snapshot: Mapping[str, Tensor] | None
    original: Mapping[str, Tensor]
    metadata: Mapping[str, Any]

    def write(self, folder: Path, device: torch.device) -> None:
        """Write it into `folder`, which exists, with torch's RNG state."""
        rng_state = {"torch": torch.get_rng_state()}
        if device.type == "cuda":
            rng_state["cuda"] = torch.cuda.get_rng_state(device)
        tensors: dict[str, Mapping[str, Tensor]] = {
            "model": self.model,
            "moments": {f"{kind}|{key}": v for kind, own in self.moments.items() for key, v in own.items()},
            "best": self.best or {},
            "snapshot": self.snapshot or {},
            "original": self.original,
            "rng_state": rng_state,
        }
        state = {**self.metadata, "architecture": json.loads(self.arch.to_json())}
        files = {f"{part}.safetensors": tensors[part] for part in PARTS}
        write_folder(folder, files, {"state.json": state}, atomic=False)

    @classmethod
    def read(cls, folder: Path) -> tuple[TrialState, dict[str, Tensor]]:
        """Read a state, and torch's RNG state for `restore_rng_state`.

        Raises:
            DropinError: a file is missing or damaged.
        """
        files, documents = read_folder(folder, [f"{part}.safetensors" for part in PARTS], ["state.json"])
        tensors = {part: files[f"{part}.safetensors"] for part in PARTS}
        moments: adam.Moments = {}
        for name, value in tensors["moments"].items():
            kind, key = name.split("|", 1)
            moments.setdefault(kind, {})[key] = value
        metadata = documents["state.json"]
        arch = Architecture.from_json(json.dumps(metadata.pop("architecture")))
        best, snapshot = tensors["best"] or None, tensors["snapshot"] or None
        state = cls(arch, tensors["model"], moments, best, snapshot, tensors["original"], metadata)
        return state, tensors["rng_state"]


def restore_rng_state(rng_state: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore torch's RNG state, on the GPU as well if it was saved there."""
    torch.set_rng_state(rng_state["torch"])
    if "cuda" in rng_state and device.type == "cuda":
        torch.cuda.set_rng_state(rng_state["cuda"], device)
