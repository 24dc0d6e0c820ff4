"""Does the search find plans that beat not growing? One table over several seeds.

For every seed: a run of ``search.run`` over plasticity, in which the recipes ``control`` (the paper's schedule without
growth) and ``paper`` are trials like any other. The best searched plan is the one with the lowest dev EER among those
that end with no more parameters than the control. Its *own control* is the same plan with neither growth nor cuts
(same epochs, learning rates and optimiser restarts), trained from the same base: what is left between the two is due
to structure.

    python benchmarks/plasticity_beats_control.py --corpus-root CORPUS --storage runs/benchmark
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from search.running.confirmation import without_growth
from search.running.preparation import cached_base
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from trainables.features.store import open_split
from trainables.storage.checkpoint import load_detector
from trainables.trial.execution import Execution
from trainables.trial.plan import Plan
from trainables.trial.training import select_device


def search(seed: int, options: argparse.Namespace) -> Path:
    """Run one search unless its folder is complete; the run's folder."""
    folder = Path(options.storage) / f"seed-{seed}"
    if not (folder / "front.parquet").exists():
        command = [sys.executable, "-m", "search.run", "--space", "plasticity", "--model", "resnet18"]
        command += ["--model-option", f"width={options.width}", "--corpus", options.corpus]
        command += ["--corpus-root", options.corpus_root] if options.corpus_root else []
        command += ["--trials", str(options.trials), "--epochs", str(options.epochs), "--seed", str(seed)]
        command += ["--base-epochs", str(options.base_epochs)]
        command += ["--storage", options.storage, "--name", folder.name]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return folder


def own_control(folder: Path, plan: Mapping[str, Any]) -> float:
    """Dev EER of the plan without growth and cuts, from the run's own base and features."""
    torch.set_num_threads(1)
    settings = Settings.from_json((folder / "settings.json").read_text())
    base = load_detector(folder / "base")
    features = _features(folder, settings)
    train, dev = open_split(features, "train"), open_split(features, "dev")
    plain, how = Plan.from_config(without_growth(plan, base.arch), base.arch), settings.precision
    execution = Execution(plain, base, train, dev, seed=settings.seed, device=select_device(), precision=how)
    while execution.epoch < plain.epochs:
        execution.run_epoch()
    return execution.best_eer


def _features(folder: Path, settings: Settings) -> Path:
    """The feature store that the run's base was trained on."""
    base = load_detector(folder / "base")
    for store in sorted((settings.cache / "features").iterdir()):
        if cached_base(settings, base.arch, store).exists():
            return store
    raise ValueError(f"the features of {folder} are no longer in {settings.cache}: run the search again")


def row(folder: Path) -> dict[str, float]:
    """EER and size of base, recipes, the best searched plan and its own control, in percent and parameters."""
    records = list(TrialLog(folder / "trials.jsonl").records.values())
    named = {record.recipe: record for record in records if record.recipe and record.eer is not None}
    control = named["control"]
    searched = [r for r in records if r.recipe not in ("control", "paper") and r.state == "COMPLETE"]
    small = [r for r in searched if _size(r) <= _size(control)]
    best = min(small, key=lambda record: (_eer(record), _size(record)))
    own = own_control(folder, best.plan)
    return {
        "base": 100 * float(load_detector(folder / "base").card["eer_dev"]),
        "paper": 100 * _eer(named["paper"]),
        "control": 100 * _eer(control),
        "own control": 100 * own,
        "searched": 100 * _eer(best),
        "size": _size(best) / _size(control),
        "trials": float(len(small)),
    }


def _eer(record: Record) -> float:
    assert record.eer is not None, "a complete trial has an EER"
    return record.eer


def _size(record: Record) -> int:
    assert record.size is not None, "a complete trial has a size"
    return record.size


def main() -> None:
    """Run the seeds and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="asvspoof2019-la")
    parser.add_argument("--corpus-root")
    parser.add_argument("--storage", default="runs/benchmark")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--base-epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    rows = {str(seed): row(search(seed, options)) for seed in options.seeds}
    names = list(next(iter(rows.values())))
    rows["median"] = {name: statistics.median(values[name] for values in rows.values()) for name in names}
    print("| seed | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for seed, values in rows.items():
        cells = [
            f"{values[n]:.3f}" if n == "size" else f"{values[n]:.0f}" if n == "trials" else f"{values[n]:.2f} %"
            for n in names
        ]
        print(f"| {seed} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
