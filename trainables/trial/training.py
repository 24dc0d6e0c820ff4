"""One epoch of training, and scoring of a split. It knows tensors and features, neither plans nor Ray."""

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
"""CPU instructions for bfloat16, as `torch.cpu.get_capabilities` names them: matrix units, dot products."""
LOSSES: dict[str, Loss] = {"cross_entropy": functional.cross_entropy, "hinge": functional.multi_margin_loss}


class Diverged(RuntimeError):
    """The loss or a score is NaN or infinite."""


@dataclass(frozen=True)
class EpochStats:
    """Loss and timings of a training epoch.

    Attributes:
        loss: mean training loss over the utterances.
        seconds_forward: mean seconds of a step's forward pass, loss included.
        seconds_backward: mean seconds of a step's backward pass.
        seconds_step: mean seconds of a whole step, data loading and optimiser included.
        seconds_data: mean seconds that a step waits for data.
    """

    loss: float
    seconds_forward: float
    seconds_backward: float
    seconds_step: float
    seconds_data: float


def select_device(gpu: bool = True) -> torch.device:
    """``cuda`` if `gpu` is allowed and available, else ``cpu``."""
    return torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")


def use_bf16_autocast(precision: str, device: torch.device, module: Chain) -> bool:
    """Whether to train this detector under bfloat16 autocast (mixed precision; weights stay float32).

    Args:
        precision: ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where it is faster: on GPUs that support it, and
            on CPUs with instructions for it (`BFLOAT16_CPU`) if the detector gains by them.
        device: where the detector is.
        module: the detector.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return module.gains_by_bfloat16 and any(capabilities.get(name) for name in BFLOAT16_CPU)


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
    autocast: bool = False,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> EpochStats:
    """Train on every utterance once, in an order drawn from `order`. Only parameters that require gradients change.

    A last batch of one utterance is skipped: BatchNorm has no variance for it. When a batch does not fit the GPU's
    memory, it and all later ones are split into 2, 4, ... micro-batches with gradient accumulation; BatchNorm then uses
    the statistics of a micro-batch.

    Args:
        order: shuffles the utterances, and draws random windows.
        clip: largest gradient norm, or 0 for no clipping.
        random_crop: train on a random window of each utterance.
        autocast: run the forward pass under bfloat16 autocast.
        forward: from a batch of `split` to logits, if not the module itself.

    Raises:
        DropinError: fewer than 2 utterances.
        Diverged: a batch's loss is not finite.
        torch.OutOfMemoryError: not even a micro-batch of a few utterances fits.
    """
    training_mode(module)
    forward = forward or module
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    shuffled = order.permutation(len(split))
    if len(shuffled) % batch_size == 1:
        shuffled = shuffled[:-1]
    total, steps, micro_batches = 0.0, 0, 1
    seconds = dict.fromkeys(("data", "forward", "backward"), 0.0)
    started = ended = time.perf_counter()
    for x, y in batches(split, shuffled, batch_size, device, order if random_crop else None):
        seconds["data"] += time.perf_counter() - ended
        while True:
            try:
                value, *durations = _accumulate_gradients(forward, loss, x, y, optimizer, micro_batches, autocast)
                break
            except torch.OutOfMemoryError:
                if 4 * micro_batches > len(y):  # BatchNorm needs two utterances in a micro-batch
                    raise
                micro_batches *= 2
                torch.cuda.empty_cache()
                logger.warning("out of memory: splitting batches of %d into %d micro-batches", len(y), micro_batches)
        for name, duration in zip(("forward", "backward"), durations, strict=True):
            seconds[name] += duration
        if clip:
            nn.utils.clip_grad_norm_(trained, clip)
        if not np.isfinite(value):
            raise Diverged(f"the training loss is {value} at step {steps}: lower the learning rate or clip gradients")
        optimizer.step()
        total, steps, ended = total + value * len(y), steps + 1, time.perf_counter()
    if not steps:
        raise DropinError(f"the train split has {len(split)} utterances: too few for one batch of at least 2")
    means = {f"seconds_{name}": duration / steps for name, duration in seconds.items()}
    return EpochStats(total / len(shuffled), seconds_step=(ended - started) / steps, **means)


def _accumulate_gradients(
    forward: Callable[[Tensor], Tensor],
    loss: Loss,
    x: Tensor,
    y: Tensor,
    optimizer: torch.optim.Optimizer,
    micro_batches: int,
    autocast: bool,
) -> tuple[float, float, float]:
    """Compute the gradients of a batch's mean loss.

    Returns:
        The loss, and the seconds of the forward and the backward pass.
    """
    optimizer.zero_grad(set_to_none=True)
    total = forward_seconds = backward_seconds = 0.0
    for inputs, labels in zip(x.tensor_split(micro_batches), y.tensor_split(micro_batches), strict=True):
        start = _synchronized_time(x.device)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=autocast):
            logits = forward(inputs)
        value = loss(logits.float(), labels)
        if micro_batches > 1:
            value = value * (len(labels) / len(y))
        middle = _synchronized_time(x.device)
        value.backward()
        forward_seconds += middle - start
        backward_seconds += _synchronized_time(x.device) - middle
        total += float(value.detach())
    return total, forward_seconds, backward_seconds


@torch.inference_mode()
def scores(
    module: nn.Module,
    split: Split,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    forward: Callable[[Tensor], Tensor] | None = None,
) -> np.ndarray:
    """Countermeasure scores of a split: log-odds of bona fide, float64 ``[n]``; higher is more bona fide.

    Computed in float32, also after training under autocast: in bfloat16 many utterances would share a score.

    Log-odds rank utterances as P(bona fide) does, without ties where the probability rounds to 0 or 1.

    Args:
        module: the detector, in evaluation mode afterwards.
        split: features, or what `forward` takes.
        batch_size: utterances in a batch.
        device: where the detector is.
        forward: from a batch of `split` to logits, if not the module itself.

    Raises:
        Diverged: a score is not finite.
    """
    module.eval()
    device = torch.device(device)
    log_odds = []
    forward = forward or module
    for x, _ in batches(split, np.arange(len(split)), batch_size, device):
        logits = forward(x).double()
        log_odds.append((logits[:, 1] - logits[:, 0]).cpu().numpy())
    values = np.concatenate(log_odds) if log_odds else np.zeros(0)
    if not np.isfinite(values).all():
        raise Diverged("scores are not finite: the detector has diverged")
    return values


def _synchronized_time(device: torch.device) -> float:
    """Seconds of the clock once the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
