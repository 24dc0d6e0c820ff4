"""What the peers share: training and scoring the detector, carrying a plan out on a base, what may vary in a plan."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from plain_detector import ResNet18, base_widths, cut, freeze, grow, size_of, strongest
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    import optuna


def learning_rate(plan: dict[str, Any], epoch: int) -> float:
    """Constant, or a cosine that falls to 0 until growth, until the last cut, and until the end."""
    last_cut = min(plan["prune_epoch"] + plan["prune_steps"] - 1, plan["epochs"])
    bounds = [0, plan["grow_epoch"], last_cut, plan["epochs"]]
    phase = max(number for number in range(3) if bounds[number] <= epoch)
    rate = float(plan[("lr", "grow_lr", "recover_lr")[phase]])
    if plan["schedule"] == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * (epoch - bounds[phase]) / (bounds[phase + 1] - bounds[phase])))
    return rate


def equal_error_rate(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of miss and false-alarm rate where they are closest."""
    bona_fide, spoof = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    thresholds = np.append(np.unique(scores), np.inf)
    misses = np.searchsorted(bona_fide, thresholds) / len(bona_fide)
    false_alarms = (len(spoof) - np.searchsorted(spoof, thresholds)) / len(spoof)
    closest = np.argmin(np.abs(misses - false_alarms))
    return float(misses[closest] + false_alarms[closest]) / 2


def timed(loader: DataLoader, spent: dict[str, float]) -> Iterator[tuple[Tensor, Tensor]]:
    """The loader's batches; how long one waits for them is added to ``spent["data"]``."""
    batches = iter(loader)
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        spent["data"] += time.perf_counter() - began
        if batch is None:
            return
        yield batch


def train_epoch(
    model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer, spent: dict[str, float]
) -> float:
    """One pass over the train split; the mean loss."""
    model.train()
    total, count = 0.0, 0
    for x, y in timed(loader, spent):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total, count = total + loss.item() * len(y), count + len(y)
    return total / count


def score(model: nn.Module, loader: DataLoader, spent: dict[str, float]) -> float:
    """EER of a split."""
    model.eval()
    scores, labels = [], []
    with torch.no_grad():
        for x, y in timed(loader, spent):
            logits = model(x)
            scores.append(logits[:, 1] - logits[:, 0])
            labels.append(y)
    return equal_error_rate(torch.cat(scores).double().numpy(), torch.cat(labels).numpy())


def train_base(width: int, epochs: int, train: DataLoader, dev: DataLoader, spent: dict[str, float]) -> ResNet18:
    """A base detector, as it was at its lowest EER."""
    model = ResNet18(width, base_widths(width))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    best, best_eer = model, math.inf
    for _ in range(epochs):
        train_epoch(model, train, optimizer, spent)
        eer = score(model, dev, spent)
        if eer < best_eer:
            best, best_eer = copy.deepcopy(model), eer
    return best


def growth_at(plan: dict[str, Any], epoch: int) -> dict[str, int]:
    """What is added at this epoch: all at once, or an even share in each of several steps."""
    steps = plan["grow_steps"]
    for step in range(steps):
        if epoch == plan["grow_epoch"] + plan["epochs"] * step // steps:
            shares = {site: n * (step + 1) // steps - n * step // steps for site, n in plan["add"].items()}
            return {site: n for site, n in shares.items() if n}
    return {}


def cut_at(plan: dict[str, Any], epoch: int, grown: dict[str, int]) -> dict[str, int]:
    """Widths to cut to at this epoch, one of several even steps from what there was after growth."""
    step = epoch - plan["prune_epoch"]
    if not 0 <= step < plan["prune_steps"]:
        return {}
    share = (step + 1) / plan["prune_steps"]
    return {site: round(grown[site] + (width - grown[site]) * share) for site, width in plan["final"].items()}


@dataclass(frozen=True)
class Epoch:
    """What an epoch of a plan came to; best since the last change of structure."""

    loss: float
    eer: float
    best_eer: float
    size: int
    best: ResNet18


def epochs(
    plan: dict[str, Any], base: ResNet18, train: DataLoader, dev: DataLoader, spent: dict[str, float]
) -> Iterator[Epoch]:
    """Carry out a plan on a base, epoch by epoch."""
    model, snapshot, grown, best_eer = copy.deepcopy(base), copy.deepcopy(base), base.widths, math.inf
    for epoch in range(plan["epochs"]):
        add, targets = growth_at(plan, epoch), cut_at(plan, epoch, grown)
        if add:
            model = grow(model, add, plan["init"])
            snapshot, grown = copy.deepcopy(model), model.widths
        if targets:
            keep = {site: strongest(model, site, count, plan["criterion"]) for site, count in targets.items()}
            model, snapshot = cut(model, keep), cut(snapshot, keep)
            if plan["rewind"] and epoch == plan["prune_epoch"] + plan["prune_steps"] - 1:
                model = snapshot
        if add or targets or epoch == 0:
            optimizer = torch.optim.Adam(freeze(model, base.state_dict(), plan["train"]))
            best, best_eer = model, math.inf
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, epoch)
        loss = train_epoch(model, train, optimizer, spent)
        eer = score(model, dev, spent)
        if eer < best_eer:
            best, best_eer = copy.deepcopy(model), eer
        yield Epoch(loss, eer, best_eer, size_of(model), best)


def tell(file: str | None, ended: Epoch) -> None:
    """Append a line of JSON for a plan that was carried out to its end."""
    if file:
        with Path(file).open("a") as lines:
            lines.write(json.dumps({"time": time.time(), "eer": ended.best_eer, "size": ended.size}) + "\n")


def space(trial: optuna.Trial, kind: str, epochs: int) -> None:
    """What may vary: a run of neighbouring blocks that grow by one share, and how they are trained and cut.

    When all are cut to one share of their width, any of them may be removed as a whole, and the residual streams of the
    lower and of the upper two layers be cut to shares of their own.
    """
    first = trial.suggest_int("first", 0, 7)
    trial.suggest_int("last", first, 7)
    trial.suggest_categorical("share", [0.125, 0.25, 0.5, 1.0])
    trial.suggest_categorical("init", ["random", "zero"])
    trial.suggest_float("lr", 1e-4, 64e-3 if kind == "dropin" else 4e-3, log=True)
    trial.suggest_categorical("schedule", ["constant", "cosine"])
    if kind == "dropin":
        trial.suggest_categorical("train", ["new", "new+head"])
        trial.suggest_int("grow_steps", 1, min(2, epochs))
    else:
        grow_epoch = trial.suggest_int("grow_epoch", 0, epochs // 2)
        trial.suggest_int("prune_epoch", grow_epoch + 1, epochs - 1)
        trial.suggest_float("final", 1 / 16, 1.0, log=True)
        for half in ("lower", "upper"):
            trial.suggest_float(f"{half}_stream", 1 / 16, 1.0, log=True)
        for block in range(8):
            trial.suggest_categorical(f"drop{block}", [False, True])
        trial.suggest_categorical("criterion", ["original", "magnitude"])
        trial.suggest_categorical("rewind", [False, True])
        trial.suggest_float("recover_factor", 0.05, 1.0, log=True)


def plan_from(config: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The plan of a suggested configuration."""
    widths = base_widths(options["width"])
    chosen = list(widths)[config["first"] : config["last"] + 1]
    epochs, share, steps = options["epochs"], config.get("final"), config.get("grow_steps", 1)
    final: dict[str, int] = {}
    for block, (site, width) in enumerate(widths.items()):
        if share is None:  # dropin
            break
        if site.endswith(".stream"):
            final[site] = max(1, round(config["lower_stream" if site < "layer3" else "upper_stream"] * width))
        else:
            final[site] = 0 if config[f"drop{block}"] else max(1, round(share * width))
    return {
        "add": {site: max(steps, round(config["share"] * widths[site])) for site in chosen},
        "init": config["init"],
        "train": config.get("train", "all"),
        "epochs": epochs,
        "grow_epoch": config.get("grow_epoch", 0),
        "grow_steps": steps,
        "prune_epoch": config.get("prune_epoch", epochs),
        "prune_steps": 1,
        "final": final,
        "criterion": config.get("criterion", "original"),
        "rewind": config.get("rewind", False),
        "lr": config["lr"],
        "grow_lr": config["lr"],
        "recover_lr": config["lr"] * config.get("recover_factor", 1.0),
        "schedule": config["schedule"],
        "batch_size": 32,
        "seed": options["seed"],
    }
