"""Dropin and plasticity searched with Ray Tune alone: the script that a competent user writes from Tune's guide.

With its two neighbours, ``plain_detector.py`` and ``plain_plan.py``, it stands alone, knows nothing of this project and
is there to be compared with. A function trainable does what the guide shows, once for every trial: read the protocols
of ASVspoof 2019 LA, decode and transform the audio in a ``Dataset`` behind a ``DataLoader``, train a base detector,
then grow it by copying its weights into wider dense layers, train what the plan says and, for plasticity, cut it back
and train on. Dev is scored after every epoch. Plans are chosen by ``OptunaSearch``, or read from a file (``--plans``, a
JSON list of what `plan_from` returns).

    python plain_ray_tune.py --corpus-root CORPUS --space dropin --trials 20
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from plain_detector import Utterances, size_of
from plain_plan import epochs, plan_from, score, space, tell, train_base
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch.utils.data import DataLoader


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

    for number, epoch in enumerate(epochs(plan, base, train, dev, spent)):
        half_error = 0.5 / np.bincount(scored.labels).min()
        metrics = {
            "loss": epoch.loss,
            "eer": epoch.eer,
            "best_eer": epoch.best_eer,
            "weighted_eer": (epoch.best_eer + half_error) * (epoch.size / size_of(base)) ** 0.1,
            "size": epoch.size,
            "base_eer": base_eer,
            "began": began,
            "seconds_base": based - began,
            "seconds_plan": time.time() - based,
            "seconds_data_base": data_for_base,
            "seconds_data_plan": spent["data"] - data_for_base,
        }
        if number < plan["epochs"] - 1:
            tune.report(metrics)
    tell(options.get("told"), epoch)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(epoch.best.state_dict(), Path(folder) / "detector.pt")
        tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


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
