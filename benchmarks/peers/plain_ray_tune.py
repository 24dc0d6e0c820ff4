"""Dropin and plasticity searched with Ray Tune alone: the script that a competent user writes from Tune's guide.

It stands alone, knows nothing of this project and is there to be compared with. A function trainable does what the
guide shows, once for every trial: read the protocols of ASVspoof 2019 LA, decode and transform the audio in a
``Dataset`` behind a ``DataLoader``, train a base detector, then grow it by copying its weights into wider dense layers,
train what the plan says and, for plasticity, cut it back and train on. Dev is scored after every epoch. Plans are
chosen by ``OptunaSearch``, or read from a file (``--plans``, a JSON list of what `plan_from` returns).

    python plain_ray_tune.py --corpus-root CORPUS --space dropin --trials 20
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import soundfile
import torch
import torchaudio
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

RATE, SECONDS = 16000, 4
LAYERS, BRANCHED = (1, 2, 3, 4), (2, 3)
PROTOCOLS = {"train": "train.trn", "dev": "dev.trl"}


class Utterances(Dataset[tuple[Tensor, int]]):
    """A split of ASVspoof 2019 LA: log-mel spectrograms ``[1, 64, 126]`` and labels, 1 for bona fide.

    With `keep` the spectrograms stay in memory, which small corpora allow and loader processes do not.
    """

    def __init__(self, root: Path, split: str, keep: bool = False) -> None:
        protocol = root / f"LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{PROTOCOLS[split]}.txt"
        rows = [line.split() for line in protocol.read_text().splitlines() if line.strip()]
        self.files = [root / f"LA/ASVspoof2019_LA_{split}/flac/{row[1]}.flac" for row in rows]
        self.labels = np.array([int(row[4] == "bonafide") for row in rows])
        self.mel = torchaudio.transforms.MelSpectrogram(RATE, n_fft=1024, hop_length=512, n_mels=64)
        self.decibels = torchaudio.transforms.AmplitudeToDB("power", top_db=80)
        self.keep = keep
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self.kept[index] if index in self.kept else self.spectrogram(index)
        if self.keep:
            self.kept[index] = x
        return x, int(self.labels[index])

    def spectrogram(self, index: int) -> Tensor:
        """Decoded, repeated or cut to 4 seconds, transformed, standardised."""
        samples = RATE * SECONDS
        audio, _ = soundfile.read(self.files[index], frames=samples, dtype="float32")
        audio = np.tile(audio, -(-samples // len(audio)))[:samples]
        levels = self.decibels(self.mel(torch.from_numpy(audio)))
        return ((levels - levels.mean()) / (levels.std() + 1e-6))[None]


class Norm(nn.BatchNorm2d):
    """A batch norm whose first channels may be frozen: in training these keep their statistics and go by them."""

    frozen = 0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[batch, channels, height, width]``."""
        if not self.training or not self.frozen:
            return super().forward(x)
        old = self.part(x, slice(self.frozen), training=False)
        if self.frozen == self.num_features:
            return old
        return torch.cat([old, self.part(x, slice(self.frozen, None), training=True)], dim=1)

    def part(self, x: Tensor, channels: slice, training: bool) -> Tensor:
        """Normalise some channels by the batch or by the statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        statistics = self.running_mean[channels], self.running_var[channels]
        return functional.batch_norm(x[:, channels], *statistics, self.weight[channels], self.bias[channels], training)


class Block(nn.Module):
    """torchvision's basic block with inner channels of any number."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False)
        self.bn1 = Norm(inner)
        self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.bn2 = Norm(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), Norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The residual sum."""
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(out + self.downsample(x))


class ResNet18(nn.Module):
    """ResNet18 on one channel; `widths` are the inner channels of each block and the channels of parallel branches."""

    def __init__(self, width: int, widths: dict[str, int]) -> None:
        super().__init__()
        self.width, self.widths = width, widths
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 7, 2, 3, bias=False), Norm(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        inputs = width
        for layer in LAYERS:
            channels, stride = width * 2 ** (layer - 1), 1 if layer == 1 else 2
            first = Block(inputs, widths[f"layer{layer}.0"], channels, stride)
            second = Block(channels, widths[f"layer{layer}.1"], channels, 1)
            setattr(self, f"layer{layer}", nn.Sequential(first, second))
            branch = widths.get(f"layer{layer}.branch", 0)
            if branch:
                setattr(self, f"branch{layer}", Block(inputs, branch, branch, stride))
            inputs = channels + branch
        self.fc = nn.Linear(inputs, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits; the second is bona fide."""
        x = self.stem(x)
        for layer in LAYERS:
            out = getattr(self, f"layer{layer}")(x)
            if self.widths.get(f"layer{layer}.branch", 0):
                out = torch.cat([out, getattr(self, f"branch{layer}")(x)], dim=1)
            x = out
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


def base_widths(width: int) -> dict[str, int]:
    """Widths of the network that is grown."""
    return {f"layer{layer}.{block}": width * 2 ** (layer - 1) for layer in LAYERS for block in (0, 1)}


def size_of(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def grow(model: ResNet18, add: dict[str, int], init: str) -> ResNet18:
    """A wider network with the old weights in the corner of each tensor; new inputs are read with weight 0 if asked."""
    widths = {site: model.widths.get(site, 0) + add.get(site, 0) for site in {**model.widths, **add}}
    wider, old = ResNet18(model.width, widths), model.state_dict()
    for name, tensor in wider.state_dict().items():  # these share memory with the network
        if name in old:
            if init == "zero" and tensor.dim() > 1:
                tensor[:, old[name].shape[1] :] = 0
            tensor[tuple(slice(length) for length in old[name].shape)] = old[name]
    return wider


def cut(model: ResNet18, keep: dict[str, Tensor]) -> ResNet18:
    """A network with these inner channels of each block."""
    state = model.state_dict()
    for site, index in keep.items():
        for name in ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"):
            state[f"{site}.{name}"] = state[f"{site}.{name}"][index]
        state[f"{site}.conv2.weight"] = state[f"{site}.conv2.weight"][:, index]
    smaller = ResNet18(model.width, {**model.widths, **{site: len(index) for site, index in keep.items()}})
    smaller.load_state_dict(state)
    return smaller


def strongest(model: ResNet18, site: str, count: int, criterion: str) -> Tensor:
    """Which channels stay: the oldest (original) or those with the largest incoming weights (magnitude)."""
    if criterion == "original":
        return torch.arange(count)
    weights = model.get_parameter(f"{site}.conv1.weight").detach()
    return weights.abs().mean(dim=(1, 2, 3)).topk(count).indices.sort().values


def freeze(model: ResNet18, base: dict[str, Tensor], train: str) -> list[nn.Parameter]:
    """Let nothing of the base train (``new``), or only its classifier (``new+head``), or everything (``all``).

    Tensors that did not grow are switched off; of those that did, the old corner gets no gradient.
    """
    for name, module in model.named_modules():
        if isinstance(module, Norm) and f"{name}.weight" in base and train != "all":
            module.frozen = len(base[f"{name}.weight"])
    for name, parameter in model.named_parameters():
        old = base.get(name)
        if old is None or train == "all" or (train == "new+head" and name.startswith("fc.")):
            continue
        if old.shape == parameter.shape:
            parameter.requires_grad = False
        else:
            mask = torch.ones_like(parameter)
            mask[tuple(slice(length) for length in old.shape)] = 0
            parameter.register_hook(partial(torch.mul, mask))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


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
    false_alarms = 1 - np.searchsorted(spoof, thresholds) / len(spoof)
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


def carry_out(config: dict[str, Any], options: dict[str, Any]) -> None:
    """A trial: its own data, its own base, then the plan."""
    began = time.time()
    torch.set_num_threads(1)
    plan = config["plan"] if "plan" in config else plan_from(config, options)
    torch.manual_seed(plan["seed"])
    spent: dict[str, float] = {"data": 0.0}
    workers = {"num_workers": options["loader_workers"], "persistent_workers": options["loader_workers"] > 0}
    heard, scored = (Utterances(Path(options["corpus_root"]), split, options["keep"]) for split in ("train", "dev"))
    train = DataLoader(heard, batch_size=plan["batch_size"], shuffle=True, **workers)
    dev = DataLoader(scored, batch_size=64, **workers)
    base = train_base(options["width"], options["base_epochs"], train, dev, spent)
    base_eer = score(base, dev, {"data": 0.0})
    based, data_for_base = time.time(), spent["data"]

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
        half_error = 0.5 / np.bincount(scored.labels).min()
        size = size_of(model)
        metrics = {
            "loss": loss,
            "eer": eer,
            "best_eer": best_eer,
            "weighted_eer": (best_eer + half_error) * (size / size_of(base)) ** 0.1,
            "size": size,
            "base_eer": base_eer,
            "began": began,
            "seconds_base": based - began,
            "seconds_plan": time.time() - based,
            "seconds_data_base": data_for_base,
            "seconds_data_plan": spent["data"] - data_for_base,
        }
        if epoch < plan["epochs"] - 1:
            tune.report(metrics)
    if options.get("told"):
        with Path(options["told"]).open("a") as file:
            file.write(json.dumps({"time": time.time(), "eer": metrics["best_eer"], "size": metrics["size"]}) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        torch.save(best.state_dict(), Path(folder) / "detector.pt")
        tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def space(trial: optuna.Trial, kind: str, epochs: int) -> None:
    """What may vary: a run of neighbouring blocks that grow by one share, and how they are trained and cut."""
    first = trial.suggest_int("first", 0, 7)
    trial.suggest_int("last", first, 7)
    trial.suggest_categorical("share", [0.125, 0.25, 0.5, 1.0])
    trial.suggest_categorical("init", ["random", "zero"])
    trial.suggest_float("lr", 1e-4, 4e-3, log=True)
    trial.suggest_categorical("schedule", ["constant", "cosine"])
    if kind == "dropin":
        trial.suggest_categorical("train", ["new", "new+head", "all"])
        trial.suggest_int("grow_steps", 1, min(2, epochs))
    else:
        grow_epoch = trial.suggest_int("grow_epoch", 0, epochs // 2)
        trial.suggest_int("prune_epoch", grow_epoch + 1, epochs - 1)
        trial.suggest_float("final", 0.25, 1.0)
        trial.suggest_categorical("criterion", ["original", "magnitude"])
        trial.suggest_categorical("rewind", [False, True])
        trial.suggest_float("recover_factor", 0.05, 1.0, log=True)


def plan_from(config: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The plan of a suggested configuration."""
    widths = base_widths(options["width"])
    chosen = list(widths)[config["first"] : config["last"] + 1]
    epochs, final, steps = options["epochs"], config.get("final"), config.get("grow_steps", 1)
    return {
        "add": {site: max(steps, round(config["share"] * widths[site])) for site in chosen},
        "init": config["init"],
        "train": config.get("train", "all"),
        "epochs": epochs,
        "grow_epoch": config.get("grow_epoch", 0),
        "grow_steps": steps,
        "prune_epoch": config.get("prune_epoch", epochs),
        "prune_steps": 1,
        "final": {} if final is None else {site: max(1, round(final * width)) for site, width in widths.items()},
        "criterion": config.get("criterion", "original"),
        "rewind": config.get("rewind", False),
        "lr": config["lr"],
        "grow_lr": config["lr"],
        "recover_lr": config["lr"] * config.get("recover_factor", 1.0),
        "schedule": config["schedule"],
        "batch_size": 32,
        "seed": options["seed"],
    }


def main() -> None:
    """Search, or run given plans, two trials at once; print the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-root", type=lambda text: str(Path(text).resolve()), required=True)
    parser.add_argument("--space", choices=["dropin", "plasticity"], default="plasticity")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--base-epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrent", type=int, default=2, help="trials at once, one CPU each")
    parser.add_argument("--loader-workers", type=int, default=0, help="processes that a DataLoader starts")
    parser.add_argument("--keep", action="store_true", help="keep a trial's spectrograms in memory")
    parser.add_argument("--asha", action="store_true", help="stop trials early by Tune's ASHA")
    parser.add_argument("--told", help="a file that gets a line of JSON for every trial that ran to its end")
    parser.add_argument("--storage", default=str(Path.home() / "ray_results"), help="where Tune keeps its results")
    parser.add_argument("--plans", type=Path, help="JSON list of plans to run instead of searching")
    parser.add_argument("--results", type=Path, help="where to write the last metrics of every trial, as JSON")
    options = parser.parse_args()
    settings = {name: value for name, value in vars(options).items() if name not in ("plans", "results")}
    searching: dict[str, Any] = {"num_samples": options.trials}
    param_space = {}
    if options.plans:
        searching = {}
        param_space = {"plan": tune.grid_search(json.loads(options.plans.read_text()))}
    else:
        choose = partial(space, kind=options.space, epochs=options.epochs)
        searching["search_alg"] = OptunaSearch(choose, metric="weighted_eer", mode="min", seed=options.seed)
        if options.asha:
            searching["scheduler"] = ASHAScheduler(metric="weighted_eer", mode="min", max_t=options.epochs)
    ray.init("local", num_cpus=options.concurrent, include_dashboard=False)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(carry_out, options=settings), {"cpu": 1}),
        param_space=param_space,
        tune_config=tune.TuneConfig(max_concurrent_trials=options.concurrent, **searching),
        run_config=tune.RunConfig(storage_path=str(Path(options.storage).resolve()), verbose=1),
    )
    results = tuner.fit()
    ray.shutdown()
    if results.errors:
        raise SystemExit(f"{len(results.errors)} of {len(results)} trials failed")
    rows = [results[number].metrics or {} for number in range(len(results))]
    best = min(rows, key=lambda row: row["weighted_eer"])
    print(f"best dev EER {best['best_eer']:.2%} at {best['size']:,} parameters: {best['config']}")
    if options.results:
        options.results.write_text(json.dumps(rows, default=str))


if __name__ == "__main__":
    main()
