"""Small networks of wav2vec 2.0, and waveforms for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

from trainables.models.architecture import Architecture
from trainables.models.wav2vec2_checkpoint import TINY

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "norm after": {},
    "norm before": {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
}


def waveforms(batch: int = 2, samples: int = 6400) -> Tensor:
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(0))


def tiny(**changes: Any) -> Architecture:
    return Architecture.create("wav2vec2", {"checkpoint": "tiny", "transformers": {**TINY, **changes}})


def loud(module: nn.Module) -> nn.Module:
    """Linear weights far larger than at the start, so that every part of the network moves the logits."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.3)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.3)
    return module.eval()


def saved(folder: Path, fields: Mapping[str, Any]) -> Wav2Vec2ForSequenceClassification:
    """A random classifier of transformers' own, whose trunk is saved as a checkpoint."""
    model = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**fields))
    loud(model)
    model.wav2vec2.save_pretrained(folder)
    return model
