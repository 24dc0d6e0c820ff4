"""Everything that the rest of a trial depends on, as a folder: safetensors and JSON, checked by a digest."""

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

PARTS = ("model", "moments", "best", "snapshot", "original", "chance")


@dataclass(frozen=True)
class TrialState:
    """A trial between two epochs.

    Attributes:
        arch: architecture of the live detector.
        model: its state dict.
        moments: of the optimiser.
        best: state dict of the best detector so far, or ``None``.
        snapshot: values to rewind to, or ``None``.
        original: by site, which neurons the base had.
        facts: epoch, seed, plan, best (numbers), order (state of the generator that shuffles), from_growth_cache: JSON
            types.
    """

    arch: Architecture
    model: Mapping[str, Tensor]
    moments: adam.Moments
    best: Mapping[str, Tensor] | None
    snapshot: Mapping[str, Tensor] | None
    original: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def write(self, folder: Path, device: torch.device) -> None:
        """Write it into `folder`, which exists, with the state of torch's generators."""
        chance = {"torch": torch.get_rng_state()}
        if device.type == "cuda":
            chance["cuda"] = torch.cuda.get_rng_state(device)
        tensors: dict[str, Mapping[str, Tensor]] = {
            "model": self.model,
            "moments": {f"{kind}|{key}": v for kind, own in self.moments.items() for key, v in own.items()},
            "best": self.best or {},
            "snapshot": self.snapshot or {},
            "original": self.original,
            "chance": chance,
        }
        state = {**self.facts, "architecture": json.loads(self.arch.to_json())}
        files = {f"{part}.safetensors": tensors[part] for part in PARTS}
        write_folder(folder, files, {"state.json": state}, atomic=False)

    @classmethod
    def read(cls, folder: Path) -> tuple[TrialState, dict[str, Tensor]]:
        """The state in a folder, and that of torch's generators, for `restore_rng_state`.

        Raises:
            ValueError: damaged.
        """
        files, texts = read_folder(folder, [f"{part}.safetensors" for part in PARTS], ["state.json"])
        tensors = {part: files[f"{part}.safetensors"] for part in PARTS}
        moments: adam.Moments = {}
        for name, value in tensors["moments"].items():
            kind, key = name.split("|", 1)
            moments.setdefault(kind, {})[key] = value
        facts = texts["state.json"]
        arch = Architecture.from_json(json.dumps(facts.pop("architecture")))
        best, snapshot = tensors["best"] or None, tensors["snapshot"] or None
        state = cls(arch, tensors["model"], moments, best, snapshot, tensors["original"], facts)
        return state, tensors["chance"]


def restore_rng_state(chance: Mapping[str, Tensor], device: torch.device) -> None:
    """Bring torch's generators back to where they were."""
    torch.set_rng_state(chance["torch"])
    if "cuda" in chance and device.type == "cuda":
        torch.cuda.set_rng_state(chance["cuda"], device)
