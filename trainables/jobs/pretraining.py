"""Training the base: once for each model, corpus, recipe and seed, in a folder named by their digest."""

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
"""Part of the digest: raise it when a base would come out differently."""


def base_folder(
    arch: Architecture, *, features: Path, epochs: int, seed: int, random_crop: bool, precision: str, cache: Path
) -> Path:
    """Where the base of these settings is or will be: ``cache/bases/<model>-<digest>``.

    The name of the feature folder is the digest of corpus and front end, so it stands for both.
    """
    recipe = {key: value for key, value in models.load(arch.model).RECIPE.items()}
    what = [RECIPE_VERSION, arch.to_json(), features.name, epochs, seed, random_crop, precision, recipe]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
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
    """Train a base from its model's start and write it to `folder`, whole or not at all.

    The weights of the best dev EER are kept, as everywhere in this project.

    Args:
        features: folder of the feature store.
        precision: of steps, as `trainables.trial.training.use_bf16_autocast` takes it.
        card: what the detector's card says besides its EER and threshold (front end, corpus, seconds).
        activations: where outputs of links that never train are kept; without it every step begins at the features.
        from_scratch: begin with random weights, also where the model has a pretrained start.
        threads: CPU threads to compute with.
        gpu: whether it may take a GPU that it sees.

    Yields:
        After every epoch: epoch, epochs, loss, eer, seconds.

    Raises:
        Diverged: loss or scores are no longer numbers.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = select_device(gpu)
    file = models.load(arch.model)
    train, dev = open_split(features, "train"), open_split(features, "dev")
    module = arch.build()
    start = file.pretrained_state(arch.config) if hasattr(file, "pretrained_state") and not from_scratch else None
    if start is not None:
        module.load_state_dict({**module.state_dict(), **start})
    module.to(device)
    optimizer = build_optimizer(freeze(module, parameter_names(module, arch, arch, "all")), file.RECIPE)
    feed = StepInputs(train, dev)
    if activations is not None and not random_crop:
        feed = activations.step_inputs(module, arch, train, dev, device=device, reference=module)
    forward = partial(feed.forward, module)
    order = np.random.default_rng([seed, 0])
    best: tuple[float, float, int] | None = None
    state = {}
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        cost = train_epoch(
            module,
            feed.train,
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
        found = scores(module, feed.dev, batch_size=module.scoring_batch, device=device, forward=forward)
        eer, threshold = eer_of(found, dev.labels)
        if best is None or eer < best[0]:
            best = (eer, between(found, threshold), epoch)
            state = {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
        yield {"epoch": epoch, "epochs": epochs, "loss": cost.loss, "eer": eer, "seconds": time.perf_counter() - began}
    if best is None:
        raise DropinError(f"a base needs at least 1 epoch; got {epochs}")
    facts = {"eer_dev": best[0], "threshold": best[1], "epoch": best[2], "epochs": epochs, "seed": seed}
    save_detector(folder, arch, state, {**card, **facts, **class_counts(dev)})


def class_counts(split: Split) -> dict[str, int]:
    """How many utterances of each class a dev split has."""
    return {"n_bonafide": int((split.labels == 1).sum()), "n_spoof": int((split.labels == 0).sum())}
