"""LoRA on a base, to compare with growth: low-rank updates of frozen layers, as many parameters as a plan trains.

E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, by ``peft``; alpha is twice the rank, as
in the paper's comparator (arXiv 2603.24343: rank 8, alpha 16, queries and values). The updates are merged into the
weights in the end, so the detector is one of the base's architecture.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables import models
from trainables.errors import DropinError
from trainables.features.store import open_split
from trainables.metrics.eer import between, eer_of
from trainables.models.chain import Chain
from trainables.storage.checkpoint import load_detector, save_detector
from trainables.trial.optimizers import build_optimizer
from trainables.trial.training import LOSSES, scores, select_device, train_epoch, use_bf16_autocast

if TYPE_CHECKING:
    from peft import LoraModel  # imported where it is used: most runs train no LoRA, and it takes seconds


def target_modules(module: nn.Module) -> list[str]:
    """Names of the layers that are adapted: queries and values of attention, or else every convolution of a block.

    Raises:
        DropinError: the detector has neither.
    """
    found = [name for name, _ in module.named_modules() if name.endswith(("q_proj", "v_proj"))]
    if not found:
        found = [name for name, part in module.named_modules() if "." in name and isinstance(part, nn.Conv2d)]
    if not found:
        raise DropinError("LoRA adapts attention and convolutions; this detector has neither: leave it out")
    return found


def nearest_rank(module: nn.Module, parameters: int) -> int:
    """The rank with which the number of trained parameters comes nearest to `parameters`, from 1 on.

    It is capped where the adapters would have more parameters than the layers that they adapt: from there on training
    the layers themselves would be the smaller update.

    Raises:
        DropinError: see `target_modules`.
    """
    layers = [module.get_submodule(name) for name in target_modules(module)]
    per_rank = sum(_per_rank(layer) for layer in layers)
    largest = sum(layer.get_parameter("weight").numel() for layer in layers) // per_rank
    return max(1, min(round(parameters / per_rank), largest))


def adapt(module: nn.Module, rank: int) -> LoraModel:
    """Add LoRA layers to a detector, the rest of which is frozen from then on.

    Args:
        module: changed in place.
        rank: of every update.

    Returns:
        The adapted detector as ``peft`` sees it, for `merged`.

    Raises:
        DropinError: see `target_modules`.
    """
    import peft

    names = target_modules(module)
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names)
    return peft.LoraModel(module, config, "default")


def merged(adapted: LoraModel) -> dict[str, Tensor]:
    """State dict, on the CPU, of the plain detector that computes what an adapted one does; that one is not changed."""
    plain = copy.deepcopy(adapted).merge_and_unload()
    return {name: value.detach().cpu() for name, value in plain.state_dict().items()}


def trainable_parameters(module: nn.Module) -> int:
    """How many parameters train."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def train(
    base: Path,
    *,
    features: Path,
    plan: Mapping[str, Any],
    parameters: int,
    seed: int,
    folder: Path,
    random_crop: bool = False,
    precision: str = "float32",
    threads: int = 1,
    gpu: bool = True,
) -> Iterator[dict[str, Any]]:
    """Train LoRA layers for as many epochs as a plan has, with its optimiser and first learning rate.

    The epoch of the lowest dev EER is written to `folder`, whole or not at all.

    Args:
        base: folder of the base.
        features: folder of the feature store.
        plan: whose epochs, batch size, optimiser and learning rate count.
        parameters: how many should train, as near as a rank comes, see `nearest_rank`.
        seed: of the order of utterances and of the LoRA layers.
        folder: of the detector; its card has ``trainable_parameters`` and ``lora_rank``.
        random_crop: train on random windows, as the base and the trials of the run do.
        precision: of steps, as `trainables.trial.training.use_bf16_autocast` takes it.
        threads: CPU threads to compute with.
        gpu: whether it may take a GPU that it sees.

    Yields:
        After every epoch: epoch, epochs, loss, eer, seconds, trainable_parameters.

    Raises:
        DropinError: see `target_modules`.
        Diverged: loss or scores are no longer numbers.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device, start = select_device(gpu), load_detector(base)
    module: Chain = start.module.to(device)
    mixed = use_bf16_autocast(precision, device, module)
    rank = nearest_rank(module, parameters)
    adapted = adapt(module, rank)
    trained = trainable_parameters(module)
    train_split, dev = open_split(features, "train"), open_split(features, "dev")
    optimizer = build_optimizer([p for p in module.parameters() if p.requires_grad], plan)
    order, loss = np.random.default_rng([seed, 0]), LOSSES[models.load(start.arch.model).RECIPE["loss"]]
    best, state, card = 2.0, merged(adapted), dict(start.card)
    for epoch in range(1, plan["epochs"] + 1):
        began = time.perf_counter()
        cost = train_epoch(
            module, train_split, optimizer, loss, batch_size=plan["batch_size"], order=order, device=device,
            clip=plan["clip"], random_crop=random_crop, autocast=mixed,
        )  # fmt: skip
        found = scores(module, dev, batch_size=module.scoring_batch, device=device)
        eer, threshold = eer_of(found, dev.labels)
        if eer < best:
            best, state = eer, merged(adapted)
            card |= {"eer_dev": eer, "threshold": between(found, threshold), "epoch": epoch}
        row = {"epoch": epoch, "epochs": plan["epochs"], "loss": cost.loss, "eer": eer}
        yield {**row, "seconds": time.perf_counter() - began, "trainable_parameters": trained}
    facts = {"seed": seed, "trainable_parameters": trained, "lora_rank": rank}
    save_detector(folder, start.arch, state, {**card, **facts})


def _per_rank(layer: nn.Module) -> int:
    """Parameters of a LoRA layer of rank 1."""
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] + layer.out_channels
    assert isinstance(layer, nn.Linear)
    return layer.in_features + layer.out_features
