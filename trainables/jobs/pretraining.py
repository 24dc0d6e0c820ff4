"""Pretraining of the base: once for each model, corpus, recipe and seed, in a folder named by their digest."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainables import models
from trainables.errors import DropinError
from trainables.features.split import Split
from trainables.features.store import open_split
from trainables.metrics.eer import between, eer_of
from trainables.models.architecture import Architecture
from trainables.storage.activations import ActivationCache, StepInputs
from trainables.storage.checkpoint import save_detector
from trainables.surgery.freeze import freeze
from trainables.trial.optimizers import build_optimizer, parameter_names
from trainables.trial.training import LOSSES, scores, select_device, train_epoch, use_bf16_autocast

RECIPE_VERSION = 4
"""Part of the digest: raise it when the same settings give another base."""


def base_folder(
    arch: Architecture, *, features: Path, epochs: int, seed: int, random_crop: bool, precision: str, cache: Path
) -> Path:
    """The folder of the base of these settings: ``cache/bases/<model>-<digest>``.

    The name of the feature folder has the digest of corpus and front end.
    """
    recipe = {key: value for key, value in models.load(arch.model).RECIPE.items()}
    settings = [RECIPE_VERSION, arch.to_json(), features.name, epochs, seed, random_crop, precision, recipe]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return cache / "bases" / f"{arch.model}-{digest}"


def pretrain(
    arch: Architecture,
    *,
    features: Path,
    epochs: int,
    seed: int,
    random_crop: bool,
    precision: str = "float32",
    folder: Path,
    card: dict[str, Any],
    activations: ActivationCache | None = None,
    from_scratch: bool = False,
    threads: int = 1,
    gpu: bool = True,
) -> Iterator[dict[str, Any]]:
    """Train a base from its model's initial weights, and write the epoch of the lowest dev EER to `folder` atomically.

    Args:
        features: folder of the features.
        precision: see `trainables.trial.training.use_bf16_autocast`.
        card: entries of the detector's card besides EER and threshold (front end, corpus, seconds).
        activations: cache of the outputs of frozen links; without it every step starts at the features.
        from_scratch: start with random weights, even if the model has pretrained ones.
        threads: number of torch's CPU threads.
        gpu: whether to use a GPU if one is available.

    Yields:
        After every epoch: epoch, epochs, loss, eer, seconds.

    Raises:
        DropinError: no epochs.
        Diverged: the loss or a score is not finite.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = select_device(gpu)
    file = models.load(arch.model)
    train, dev = open_split(features, "train"), open_split(features, "dev")
    module = arch.build()
    pretrained = file.pretrained_state(arch.config) if hasattr(file, "pretrained_state") and not from_scratch else None
    if pretrained is not None:
        module.load_state_dict({**module.state_dict(), **pretrained})
    module.to(device)
    optimizer = build_optimizer(freeze(module, parameter_names(module, arch, arch, "all")), file.RECIPE)
    inputs = StepInputs(train, dev)
    if activations is not None and not random_crop:
        inputs = activations.step_inputs(module, arch, train, dev, device=device, reference=module)
    forward = partial(inputs.forward, module)
    order = np.random.default_rng([seed, 0])
    best: tuple[float, float, int] | None = None
    state = {}
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        stats = train_epoch(
            module,
            inputs.train,
            optimizer,
            LOSSES[file.RECIPE["loss"]],
            batch_size=file.RECIPE["batch_size"],
            order=order,
            device=device,
            clip=file.RECIPE["clip"],
            random_crop=random_crop,
            autocast=use_bf16_autocast(precision, device, module),
            forward=forward,
        )
        dev_scores = scores(module, inputs.dev, batch_size=module.scoring_batch, device=device, forward=forward)
        eer, threshold = eer_of(dev_scores, dev.labels)
        if best is None or eer < best[0]:
            best = (eer, between(dev_scores, threshold), epoch)
            state = {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
        seconds = time.perf_counter() - started
        yield {"epoch": epoch, "epochs": epochs, "loss": stats.loss, "eer": eer, "seconds": seconds}
    if best is None:
        raise DropinError(f"a base needs at least 1 epoch; got {epochs}")
    results = {"eer_dev": best[0], "threshold": best[1], "epoch": best[2], "epochs": epochs, "seed": seed}
    save_detector(folder, arch, state, {**card, **results, **class_counts(dev)})


def class_counts(split: Split) -> dict[str, int]:
    """Number of utterances of each class of a dev split."""
    return {"n_bonafide": int((split.labels == 1).sum()), "n_spoof": int((split.labels == 0).sum())}
