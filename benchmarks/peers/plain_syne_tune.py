"""Plasticity searched with Syne Tune: MOASHA on two objectives, its local backend, two workers.

What a competent user writes from Syne Tune's guide: a training script that takes a configuration, reports EER and size
after every epoch and is stopped early by MOASHA, and a launcher. Detector, growth and training are those of
``plain_ray_tune.py``. A trial is a process of its own, as the local backend has it; spectrograms and the base are
computed once by the launcher and read from a file.

    python plain_syne_tune.py --corpus-root CORPUS --minutes 5
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from plain_detector import ResNet18, Utterances, base_widths, size_of
from plain_plan import epochs, plan_from, tell, train_base
from torch.utils.data import DataLoader, TensorDataset

CATEGORIES = {"share": [0.125, 0.25, 0.5, 1.0], "init": ["random", "zero"], "schedule": ["constant", "cosine"]}
DROPPED = [f"drop{block}" for block in range(8)]
CATEGORIES |= {name: [False, True] for name in DROPPED}
CATEGORIES |= {"criterion": ["original", "magnitude"], "rewind": [False, True]}


def prepare(options: argparse.Namespace, file: Path) -> None:
    """Compute the spectrograms of both splits, train the base, and save it all."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.workers)
    kept = {}
    for split in ("train", "dev"):
        utterances = Utterances(Path(options.corpus_root), split)
        kept[split] = torch.stack([utterances[number][0] for number in range(len(utterances))])
        kept[f"{split}_labels"] = torch.from_numpy(utterances.labels)
    train, dev = loaders(kept)
    base = train_base(options.width, options.base_epochs, train, dev, {"data": 0.0})
    torch.save({**kept, "base": base.state_dict()}, file)


def loaders(kept: dict[str, Any]) -> tuple[DataLoader, DataLoader]:
    """Train and dev."""
    train, dev = (TensorDataset(kept[split], kept[f"{split}_labels"]) for split in ("train", "dev"))
    return DataLoader(train, batch_size=32, shuffle=True), DataLoader(dev, batch_size=64)


def trial(arguments: list[str]) -> None:
    """The training script: one configuration."""
    from syne_tune import Reporter

    parser = argparse.ArgumentParser()
    for name in ("first", "last", "grow_epoch", "prune_epoch", "epochs", "width", "seed"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("share", "lr", "final", "recover_factor", "lower_stream", "upper_stream"):
        parser.add_argument(f"--{name}", type=float)
    for name in ("init", "schedule", "criterion", "rewind", *DROPPED, "prepared", "told"):
        parser.add_argument(f"--{name}")
    given = vars(parser.parse_known_args(arguments)[0])  # Syne Tune adds where checkpoints may go
    config = {**given, **{name: given[name] == "True" for name in ("rewind", *DROPPED)}}
    config["last"] = max(config["first"], config["last"])
    config["prune_epoch"] = min(max(config["prune_epoch"], config["grow_epoch"] + 1), config["epochs"] - 1)
    torch.set_num_threads(1)
    torch.manual_seed(given["seed"])
    kept = torch.load(given["prepared"], weights_only=True, mmap=True)
    train, dev = loaders(kept)
    base = ResNet18(given["width"], base_widths(given["width"]))
    base.load_state_dict(kept["base"])
    plan, report = plan_from(config, given), Reporter()
    final = size_of(ResNet18(given["width"], {**base.widths, **plan["final"]}))
    for number, epoch in enumerate(epochs(plan, base, train, dev, {"data": 0.0}), 1):
        if number == plan["epochs"]:
            tell(given["told"], epoch)
        report(epoch=number, eer=epoch.best_eer, size=final)


def main() -> None:
    """Prepare, then search until time is over."""
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice, loguniform, randint
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-root", type=lambda text: str(Path(text).resolve()), required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--base-epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--told", default="", help="a file that gets a line of JSON for every finished trial")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.pt"
        prepare(options, prepared)
        space: dict[str, Any] = {
            "first": randint(0, 7),
            "last": randint(0, 7),
            "lr": loguniform(1e-4, 4e-3),
            "grow_epoch": randint(0, options.epochs // 2),
            "prune_epoch": randint(1, options.epochs - 1),
            **{name: loguniform(1 / 16, 1.0) for name in ("final", "lower_stream", "upper_stream")},
            "recover_factor": loguniform(0.05, 1.0),
            **{name: choice(values) for name, values in CATEGORIES.items()},
            "epochs": options.epochs,
            "width": options.width,
            "seed": options.seed,
            "prepared": str(prepared),
            "told": options.told,
        }
        scheduler = MOASHA(
            space,
            metrics=["eer", "size"],
            do_minimize=True,
            time_attr="epoch",
            max_t=options.epochs,
            random_seed=options.seed,
        )
        tuner = Tuner(
            trial_backend=LocalBackend(entry_point=str(Path(__file__).with_name("syne_tune_trial.py"))),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_wallclock_time=60 * options.minutes),
            n_workers=options.workers,
            results_update_interval=5.0,
        )
        tuner.run()


if __name__ == "__main__":
    main()
