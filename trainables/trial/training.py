"""One epoch of training, and scoring a split. Knows tensors and features, not plans and not Ray."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import DropinError
from trainables.features.batches import batches
from trainables.features.split import Split
from trainables.models.chain import Chain
from trainables.surgery.freeze import training_mode

logger = logging.getLogger(__name__)
Loss = Callable[[Tensor, Tensor], Tensor]
BFLOAT16_CPU = ("amx_bf16", "avx512_bf16")
"""What a CPU may have for bfloat16, as `torch.cpu.get_capabilities` names it: matrix units, dot products."""
LOSSES: dict[str, Loss] = {"cross_entropy": functional.cross_entropy, "hinge": functional.multi_margin_loss}


class Diverged(RuntimeError):
    """The loss or the scores are no longer numbers."""


@dataclass(frozen=True)
class EpochCost:
    """What an epoch took.

    Attributes:
        loss: mean training loss over the utterances.
        seconds_forward: mean seconds a step in the forward pass, loss included.
        seconds_backward: mean seconds a step in the backward pass.
        seconds_step: mean seconds a whole step, data and optimiser included.
        seconds_data: mean seconds a step that it waited for data.
    """

    loss: float
    seconds_forward: float
    seconds_backward: float
    seconds_step: float
    seconds_data: float


def select_device(gpu: bool = True) -> torch.device:
    """The GPU that this process sees, or the CPU where it sees none or may not take it."""
    return torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")


def use_bf16_autocast(precision: str, device: torch.device, module: Chain) -> bool:
    """Whether steps of this detector compute in bfloat16, weights and sums staying float32 (mixed precision).

    Args:
        precision: ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where it is faster: on GPUs that have it, and on
            CPUs with instructions for it (`BFLOAT16_CPU`) for detectors that gain by them.
        device: where the detector is.
        module: the detector.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return module.gains_by_bfloat16 and any(has.get(name) for name in BFLOAT16_CPU)


def train_epoch(
    module: nn.Module,
    split: Split,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    *,
    batch_size: int,
    order: np.random.Generator,
    device: torch.device,
    clip: float = 0.0,
    random_crop: bool = False,
    mixed: bool = False,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> EpochCost:
    """Train on every utterance once, in an order drawn from `order`. Only parameters that require gradients change.

    A last batch of one utterance is left out: BatchNorm has no variance for it. Where a batch does not fit the memory
    of a GPU, it and all after it are computed in two parts, or four, and so on, whose gradients are added up; BatchNorm
    then goes by the statistics of a part.

    Args:
        clip: largest gradient norm, or 0 for no clipping.
        random_crop: each utterance is a random window.
        mixed: compute in bfloat16 what loses nothing by it.
        forward: from a batch of `split` to logits, where this is not the module itself.

    Raises:
        Diverged: a batch's loss is not finite.
        torch.OutOfMemoryError: not even a few utterances fit.
    """
    training_mode(module)
    forward = forward or module
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    shuffled = order.permutation(len(split))
    if len(shuffled) % batch_size == 1:
        shuffled = shuffled[:-1]
    total, steps, parts = 0.0, 0, 1
    seconds = dict.fromkeys(("data", "forward", "backward"), 0.0)
    began = ended = time.perf_counter()
    for x, y in batches(split, shuffled, batch_size, device, order if random_crop else None):
        seconds["data"] += time.perf_counter() - ended
        while True:
            try:
                number, *passed = _gradients(forward, loss, x, y, optimizer, parts, mixed)
                break
            except torch.OutOfMemoryError:
                if 4 * parts > len(y):  # BatchNorm needs two utterances in a part
                    raise
                parts *= 2
                torch.cuda.empty_cache()
                logger.warning("out of memory: batches of %d utterances are computed in %d parts", len(y), parts)
        for name, spent in zip(("forward", "backward"), passed, strict=True):
            seconds[name] += spent
        if clip:
            nn.utils.clip_grad_norm_(trained, clip)
        if not np.isfinite(number):
            raise Diverged(f"the training loss is {number} at step {steps}: lower the learning rate or clip gradients")
        optimizer.step()
        total, steps, ended = total + number * len(y), steps + 1, time.perf_counter()
    if not steps:
        raise DropinError(f"the train split has {len(split)} utterances: too few for one batch of at least 2")
    mean = {f"seconds_{part}": passed / steps for part, passed in seconds.items()}
    return EpochCost(total / len(shuffled), seconds_step=(ended - began) / steps, **mean)


def _gradients(
    forward: Callable[[Tensor], Tensor],
    loss: Loss,
    x: Tensor,
    y: Tensor,
    optimizer: torch.optim.Optimizer,
    parts: int,
    mixed: bool,
) -> tuple[float, float, float]:
    """Set the gradients of a batch's mean loss, part by part; the loss, and the seconds forward and backward."""
    optimizer.zero_grad(set_to_none=True)
    total = forth = back = 0.0
    for some, labels in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
        start = _now(x.device)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=mixed):
            logits = forward(some)
        value = loss(logits.float(), labels)
        if parts > 1:
            value = value * (len(labels) / len(y))
        middle = _now(x.device)
        value.backward()
        total, forth, back = total + float(value.detach()), forth + middle - start, back + _now(x.device) - middle
    return total, forth, back


@torch.inference_mode()
def scores(
    module: nn.Module,
    split: Split,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    forward: Callable[[Tensor], Tensor] | None = None,
) -> np.ndarray:
    """Log-odds of bona fide for every utterance of a split, float64 ``[n]``; higher is more bona fide.

    Computed in float32, however the detector was trained: in bfloat16 many utterances would share a score.

    Log-odds order utterances as P(bona fide) does, without ties where the probability rounds to 0 or 1.

    Args:
        module: the detector, in evaluation mode afterwards.
        split: features, or what `forward` takes.
        batch_size: utterances at once.
        device: where the detector is.
        forward: from a batch of `split` to logits, where this is not the module itself.

    Raises:
        Diverged: a score is not finite.
    """
    module.eval()
    device = torch.device(device)
    parts = []
    forward = forward or module
    for x, _ in batches(split, np.arange(len(split)), batch_size, device):
        logits = forward(x).double()
        parts.append((logits[:, 1] - logits[:, 0]).cpu().numpy())
    found = np.concatenate(parts) if parts else np.zeros(0)
    if not np.isfinite(found).all():
        raise Diverged("scores are not finite: the detector has diverged")
    return found


def _now(device: torch.device) -> float:
    """Seconds, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
