"""Plasticity searched with Optuna alone: ``study.optimize`` in two processes on one journal, two objectives.

What a competent user writes who knows Optuna and no Ray: the detector, growth and training are those of
``plain_ray_tune.py``, but spectrograms are computed once a process and kept in memory, and the base is trained once and
shared as a file. Samplers: multi-objective TPE, NSGA-II, random.

    python plain_optuna.py --corpus-root CORPUS --sampler tpe --trials 20
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from plain_detector import ResNet18, Utterances, base_widths
from plain_plan import epochs, plan_from, space, tell, train_base
from torch.utils.data import DataLoader

SAMPLERS = ("tpe", "nsga2", "random")


def loaders(options: dict[str, Any]) -> tuple[DataLoader, DataLoader]:
    """Train and dev; spectrograms stay in memory."""
    train, dev = (Utterances(Path(options["corpus_root"]), split, keep=True) for split in ("train", "dev"))
    return DataLoader(train, batch_size=32, shuffle=True), DataLoader(dev, batch_size=64)


def work(number: int, journal: str, base_file: str, options: dict[str, Any]) -> None:
    """One process: its share of the trials."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = 100 * options["seed"] + number
    torch.manual_seed(seed)
    train, dev = loaders(options)
    base = ResNet18(options["width"], base_widths(options["width"]))
    base.load_state_dict(torch.load(base_file, weights_only=True))
    samplers = {
        "tpe": optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
        "nsga2": optuna.samplers.NSGAIISampler(seed=seed, population_size=10),
        "random": optuna.samplers.RandomSampler(seed=seed),
    }
    study = optuna.load_study(
        study_name="plain", storage=JournalStorage(JournalFileBackend(journal)), sampler=samplers[options["sampler"]]
    )

    def objective(trial: optuna.Trial) -> tuple[float, int]:
        space(trial, "plasticity", options["epochs"])
        plan = plan_from(dict(trial.params), options)
        for epoch in epochs(plan, base, train, dev, {"data": 0.0}):
            ended = epoch
        tell(options["told"], ended)
        return ended.best_eer, ended.size

    study.optimize(objective, n_trials=math.ceil(options["trials"] / options["processes"]))


def main() -> None:
    """Train the base, then search in as many processes as asked for; print the front."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-root", type=lambda text: str(Path(text).resolve()), required=True)
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--base-epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--told", help="a file that gets a line of JSON for every trial that ran to its end")
    options = vars(parser.parse_args())
    torch.manual_seed(options["seed"])
    torch.set_num_threads(options["processes"])
    train, dev = loaders(options)
    base = train_base(options["width"], options["base_epochs"], train, dev, {"data": 0.0})
    with tempfile.TemporaryDirectory() as folder:
        base_file, journal = f"{folder}/base.pt", f"{folder}/journal"
        torch.save(base.state_dict(), base_file)
        study = optuna.create_study(
            study_name="plain",
            storage=JournalStorage(JournalFileBackend(journal)),
            directions=["minimize", "minimize"],
        )
        context = multiprocessing.get_context("spawn")
        workers = [
            context.Process(target=work, args=(number, journal, base_file, options), daemon=True)
            for number in range(options["processes"])
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for trial in sorted(study.best_trials, key=lambda trial: trial.values[1]):
            print(f"dev EER {trial.values[0]:.2%} at {trial.values[1]:,.0f} parameters: {trial.params}")


if __name__ == "__main__":
    main()
