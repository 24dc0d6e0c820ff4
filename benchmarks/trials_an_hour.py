"""Trials an hour: this search against a script written with Ray Tune alone, ``peers/plain_ray_tune.py``.

Both sides carry out the same plans for the same epochs, on a base of the same recipe, one CPU a trial on all cores of
this machine, without early stopping. Plans are drawn from our space at random and then limited to what both sides can
do: growth that leaves the function as it was (zero, split, gradmax) becomes zero, criteria that look at trained neurons
(magnitude, taylor, activation) become magnitude, and the optimiser starts afresh at every change.

For every space and seed: ``search.run`` with these plans for its recipes and an empty cache (*cold*), a second such run
with what the first one left in the cache (*warm*), then the peer.

- *Trials an hour* is the rate of a search that goes on: trials over the time that workers were in use, each from its
  first trial's beginning to its last one's end, all that happens between trials included. The bars are about this.
- *Whole command* counts from starting the command to its exit, as few as these trials are.
- EER is the lowest on dev after the plan's last change of structure, on both sides. Seed noise is the standard
  deviation of the bases' EER over seeds, pooled over the sides. All plans of a seed start from one base on either side,
  so that many seeds tell more than many plans; what a plan gained over its side's base is compared as well.

The bars: dropin at least 8 times, plasticity at least 3.5 times the peer's trials an hour, and a median of the paired
differences in EER of no more than seed noise; below the peer's it may be.

    python benchmarks/trials_an_hour.py --corpus-root CORPUS --storage runs/trials-an-hour

With ``--searched 40`` every space and seed also gets a real search of so many trials with all defaults, early stopping
and several prunings of a grown stage among them, whose trials an hour are held against those of the same peer: at least
15 times for dropin, 8 times for plasticity.

Three minutes a space and seed on two cores; what was measured is kept in the storage folder and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna

import spaces
from search.runs import trial_log
from search.tuning.space_check import run_budget, site_infos
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trials_an_hour_tables import BARS, Measured, Run, comparison, composition, details, of_searches

PEER = Path(__file__).resolve().parent / "peers" / "plain_ray_tune.py"
# The real command, with a file of plans for its recipes and nothing else to try.
SEARCH = """
import json, pathlib, sys
from spaces import recipes
plans = json.loads(pathlib.Path(sys.argv[1]).read_text())
recipes.recipes, recipes.initial_points = lambda *_: plans, lambda *_: {}
from search import run
sys.exit(run.main(sys.argv[2:]))
"""
LOGGED = re.compile(r"(\S+ \S+) \w+ search\.running\.tune_callback: trial (\d+)(?: \(\S+\))?( begins)?")


def draw(space: str, seed: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Different plans that both sides can carry out, by name, in the order in which they are tried."""
    sites = site_infos(Architecture.create("resnet18", {"width": options.width}))
    budget = run_budget("resnet18", options.epochs)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    plans: list[dict[str, Any]] = []
    while len(plans) < options.plans:
        plan = limited(spaces.load(space).space(study.ask(), sites=sites, budget=budget))
        if plan not in plans:
            plans.append(plan)
    return {f"plan-{number}": plan for number, plan in enumerate(plans)}


def limited(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan without what the peer has not."""
    rule = "random" if plan["rule"] == "random" else "zero"
    criterion = "original" if plan["criterion"] == "original" else "magnitude"
    return {**plan, "rule": rule, "criterion": criterion, "moments": "reset"}


def peer_plan(plan: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One of our plans in the peer's terms.

    Raises:
        ValueError: it asks for what the peer has not.
    """
    plain = {"optimizer": "adam", "weight_decay": 0.0, "clip": 0.0, "restarts": [], "moments": "reset"}
    if different := {key: plan[key] for key, value in plain.items() if plan[key] != value}:
        raise ValueError(f"the peer trains by plain Adam, afresh after every change; the plan has {different}")
    same = ("epochs", "grow_epoch", "grow_steps", "prune_epoch", "prune_steps", "final", "criterion", "train")
    return {
        **{key: plan[key] for key in (*same, "lr", "grow_lr", "schedule", "batch_size")},
        "add": plan["grow"],
        "init": plan["rule"],
        "rewind": plan["after"] == "rewind_weights",
        "recover_lr": plan["recover_lr"] if plan["after"] == "finetune" else plan["grow_lr"],
        "seed": seed,
    }


def command(*arguments: str) -> tuple[float, float]:
    """Run Python with these arguments; when it began and when it was over. What it prints goes to standard error."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    whole = [sys.executable, *arguments]
    started = time.time()
    subprocess.run(whole, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment)
    return started, time.time()


def logged_times(folder: Path) -> tuple[dict[int, float], dict[int, float]]:
    """When each trial of a run began and ended, by number, from the run's log."""
    begins: dict[int, float] = {}
    ends: dict[int, float] = {}
    for line in (folder / "run.log").read_text(encoding="utf-8").splitlines():
        if found := LOGGED.match(line):
            stamp = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()
            (begins if found[3] else ends)[int(found[2])] = stamp
    return begins, ends


def ours(space: str, seed: int, folder: Path, options: argparse.Namespace) -> tuple[Run, list[dict[str, Any]]]:
    """A search that tries the plans of ``plans.json`` beside its folder, and those of them that ended well."""
    what = ["--space", space, "--model", "resnet18", "--model-option", f"width={options.width}", "--seed", str(seed)]
    what += ["--corpus", "asvspoof2019-la", "--corpus-root", options.corpus_root, "--trials", str(options.plans)]
    what += ["--epochs", str(options.epochs), "--base-epochs", str(options.base_epochs)]
    what += ["--stopping", "none", "--prunings-per-growth", "1"]
    where = ["--storage", str(folder.parent), "--name", folder.name, "--cache", str(folder.parent / "cache")]
    started, over = command("-c", SEARCH, str(folder.parent / "plans.json"), *what, *where)
    begins, ends = logged_times(folder)
    records = trial_log.read(folder / "trials.jsonl").values()
    ordered = sorted(records, key=lambda record: (record.state != "COMPLETE", record.number))
    well = [record for record in ordered if record.state == "COMPLETE"]
    run = Run(
        started,
        over,
        [begins[record.number] for record in ordered],
        [ends[record.number] for record in ordered],
        [float(record.eer) for record in well if record.eer is not None],
        float(load_detector(folder / "base").card["eer_dev"]),
        {"plan": statistics.mean(float(record.seconds or 0) for record in well)},
    )
    return run, [dict(record.plan) for record in well]


def peer(plans: Sequence[Mapping[str, Any]], seed: int, folder: Path, options: argparse.Namespace) -> Run:
    """The peer's run of the same plans."""
    wanted, found = folder / "peer.json", folder / "results.json"
    wanted.write_text(json.dumps([peer_plan(plan, seed) for plan in plans]), encoding="utf-8")
    what = ["--corpus-root", options.corpus_root, "--width", str(options.width), "--storage", str(folder)]
    what += ["--base-epochs", str(options.base_epochs), "--concurrent", str(os.cpu_count())]
    what += ["--keep"] if options.peer_keeps else []
    started, over = command(str(PEER), *what, "--plans", str(wanted), "--results", str(found))
    trials = json.loads(found.read_text(encoding="utf-8"))
    mean = {key: statistics.mean(t[key] for t in trials) for key in trials[0] if key.startswith("seconds_")}
    parts = {
        "data": mean["seconds_data_base"] + mean["seconds_data_plan"],
        "base": mean["seconds_base"] - mean["seconds_data_base"],
        "plan": mean["seconds_plan"] - mean["seconds_data_plan"],
    }
    ends = [t["began"] + t["seconds_base"] + t["seconds_plan"] for t in trials]
    eers = [t["best_eer"] for t in trials]
    return Run(started, over, [t["began"] for t in trials], ends, eers, trials[0]["base_eer"], parts)


def measure(space: str, seed: int, options: argparse.Namespace) -> Measured:
    """Both sides, or what an earlier call with the same options and storage measured."""
    folder = place(space, seed, options)
    kept = folder / "measured.json"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)  # an earlier call broke off in it
        folder.mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(draw(space, seed, options)), encoding="utf-8")
        cold, _ = ours(space, seed, folder / "cold", options)
        warm, plans = ours(space, seed, folder / "warm", options)
        measured = Measured(cold, warm, peer(plans, seed, folder, options), plans)
        kept.write_text(json.dumps(asdict(measured)), encoding="utf-8")
    read = json.loads(kept.read_text(encoding="utf-8"))
    return Measured(Run(**read["cold"]), Run(**read["warm"]), Run(**read["peer"]), read["plans"])


def searched(space: str, seed: int, options: argparse.Namespace) -> tuple[float, int, int]:
    """Trials an hour of a real search, how many ended, and how many of them were stopped early."""
    folder = place(space, seed, options) / f"searched-{options.searched}"
    if not (folder / "front.parquet").exists():
        shutil.rmtree(folder, ignore_errors=True)
        what = ["--space", space, "--model", "resnet18", "--model-option", f"width={options.width}"]
        what += ["--corpus", "asvspoof2019-la", "--corpus-root", options.corpus_root, "--trials", str(options.searched)]
        what += ["--epochs", str(options.epochs), "--base-epochs", str(options.base_epochs), "--seed", str(seed)]
        command("-m", "search.run", *what, "--storage", str(folder.parent), "--name", folder.name,
                "--cache", str(folder.parent / "cache"))  # fmt: skip
    begins, ends = logged_times(folder)
    records = trial_log.read(folder / "trials.jsonl").values()
    workers = os.cpu_count() or 1
    busy = sum(sorted(ends.values())[-workers:]) - sum(sorted(begins.values())[:workers])
    return 3600 * workers * len(ends) / busy, len(ends), sum(record.state == "PRUNED" for record in records)


def place(space: str, seed: int, options: argparse.Namespace) -> Path:
    """The folder of a space and seed."""
    sizes = f"{options.plans}x{options.epochs}-base{options.base_epochs}-width{options.width}"
    return Path(options.storage).resolve() / f"{space}-{seed}-{sizes}{'-keeps' if options.peer_keeps else ''}"


def main() -> None:
    """Measure both sides and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-root", required=True, help="the folder above LA")
    parser.add_argument("--storage", default="runs/trials-an-hour")
    parser.add_argument("--spaces", nargs="+", choices=sorted(BARS), default=sorted(BARS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--plans", type=int, default=4, help="plans for each space and seed")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--base-epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--peer-keeps", action="store_true", help="let the peer keep a trial's spectrograms in memory")
    parser.add_argument("--searched", type=int, default=0, metavar="TRIALS", help="a real search of so many as well")
    parser.add_argument("--details", action="store_true", help="a row for every plan as well")
    options = parser.parse_args()
    workers = os.cpu_count() or 1
    if options.plans < workers:
        parser.error(f"--plans must be at least {workers}, one for each worker; got {options.plans}")
    if len(options.seeds) < 2:
        parser.error(f"--seeds must be at least 2, to tell how much seeds differ; got {options.seeds}")
    measured = {space: {seed: measure(space, seed, options) for seed in options.seeds} for space in options.spaces}
    print(f"# Trials an hour, {workers} workers\n")
    for space, by_seed in measured.items():
        print(f"## {space}\n\n{comparison(space, by_seed, workers)}\n{composition(by_seed, workers)}")
        if options.searched:
            print(of_searches(space, by_seed, {seed: searched(space, seed, options) for seed in by_seed}, workers))
        if options.details:
            print(details(by_seed))


if __name__ == "__main__":
    main()
