"""What the search itself costs, beside its trials: three tables.

1. Start. From the command to the first finished epoch, caches warm: ``search.run`` in processes of their own, timed
   from their start to the line of the run's log that tells of the epoch. Its parts: until the run's folder is there
   (command line read, torch imported), until Ray is up and a worker begins its first trial, until the epoch is over.
   Bar: 12 s on two cores.
2. No-op trials. ``trials.run_trials`` with the real space, sampler, trial log and tables over trials that do nothing,
   on as many workers as there are CPUs. What passes between the ends of two trials is all that the driver does for a
   trial, and what of the workers' work is not hidden behind it; beside it, the CPU time of the driver's process.
   Bars, around 500 ended trials: 40 ms with random, 80 ms with tpe.
3. Many trials. The same up to 10,000 trials, with random: resident memory of the driver against its size before the
   first trial, files in the run's folder; then ``search.export`` on that run, as a process, base and features from the
   cache. No-op trials leave no detectors: those of the front are copies of the base. Bars: 300 MB, files that do not
   grow with trials, 30 s.

Nothing else does what a driver does, so each is held against its bar.

    OMP_NUM_THREADS=1 python benchmarks/driver.py --corpus-root CORPUS

About a quarter of an hour on two cores, most of it part 3; ``--parts start trials`` leaves that out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from search.cluster import ray_cluster
from search.display.progress import Display
from search.running import preparation
from search.runs.front import front_of
from search.settings.command_line import parse
from search.settings.options import Settings

PARTS = ("start", "trials", "many")
BARS = {"start": 12.0, "random": 40.0, "tpe": 80.0, "growth": 300.0, "export": 30.0}
MOMENTS = (
    "search.running.preparation: run",
    "search.running.tune_callback: trial .* begins",
    "search.running.tune_callback: trial .*: epoch 1 of",
)
AROUND = (0, 100, 450, 550)
"""Between which ended trials the driver's time is averaged: at first, and around 500."""


def start_once(options: argparse.Namespace, name: str) -> list[float]:
    """Seconds from the command to each of `MOMENTS`."""
    what = ["--space", "plasticity", "--model-option", "width=16", "--trials", "2", "--epochs", "2", "--name", name]
    command = [sys.executable, "-m", "search.run", *what, *corpus(options), "--storage", options.storage]
    began = time.time()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    log = (Path(options.storage) / name / "run.log").read_text(encoding="utf-8")
    found = [re.search(rf"^(\S+ \S+) \w+ {moment}", log, re.MULTILINE) for moment in MOMENTS]
    stamps = [datetime.strptime(one[1], "%Y-%m-%d %H:%M:%S,%f").timestamp() for one in found if one]
    return [stamp - began for stamp in stamps]


def no_op_settings(options: argparse.Namespace, name: str, count: int, sampler: str) -> Settings:
    """Settings of a run of trials that do nothing; its folder is made."""
    what = [*corpus(options), "--model-option", "width=16", "--trials", str(count), "--sampler", sampler]
    settings = parse([*what, "--storage", options.storage, "--name", name])
    settings.run_folder.mkdir(parents=True)
    return settings


def corpus(options: argparse.Namespace) -> list[str]:
    """Options of the command line that name the corpus."""
    return ["--corpus", options.corpus, "--corpus-root", options.corpus_root]


def start_table(options: argparse.Namespace) -> str:
    """Part 1."""
    start_once(options, "start-warm-up")
    rows = [start_once(options, f"start-{number}") for number in range(options.repeats)]
    parts = zip(
        ("the run's folder", "a first trial begins", "a first epoch is over"), zip(*rows, strict=True), strict=True
    )
    lines = [
        f"| {name} | {statistics.median(own):.1f} s | {min(own):.1f} to {max(own):.1f} s | |" for name, own in parts
    ]
    lines[-1] = lines[-1][:-1] + f" {verdict(statistics.median(row[-1] for row in rows), BARS['start'], 's')} |"
    return table(("from the command until", "median", "range", "bar"), lines)


def trials_table(options: argparse.Namespace) -> str:
    """Part 2."""
    from no_op import run_nothing

    found: dict[str, list[list[float]]] = {"random": [], "tpe": []}
    for number in range(options.repeats):
        for sampler, rows in found.items():
            settings = no_op_settings(options, f"{sampler}-{number}", AROUND[-1], sampler)
            looks = run_nothing(settings, Path("no base"), Path("no features")).looks
            early, late = (looks[AROUND[0] + 1], looks[AROUND[1]]), (looks[AROUND[2]], looks[AROUND[3]])
            counts = (AROUND[1] - AROUND[0] - 1, AROUND[3] - AROUND[2])
            rows.append(
                [
                    1e3 * (getattr(end, what) - getattr(begin, what)) / count
                    for (begin, end), count in zip((early, late), counts, strict=True)
                    for what in ("clock", "cpu")
                ]
            )
            shutil.rmtree(settings.run_folder)
    lines = []
    for sampler, rows in found.items():
        cells = [f"{statistics.median(own):.1f} ({min(own):.1f} to {max(own):.1f})" for own in zip(*rows, strict=True)]
        around_500 = statistics.median(row[2] for row in rows)
        lines.append(f"| {sampler} | {' | '.join(cells)} | {verdict(around_500, BARS[sampler], 'ms')} |")
    header = ("sampler", "first 100: ms a trial", "of it CPU", "around 500: ms a trial", "of it CPU", "bar")
    return table(header, lines)


def many_table(options: argparse.Namespace) -> str:
    """Part 3."""
    from no_op import run_nothing

    settings = no_op_settings(options, "many", options.many, "random")
    with Path(os.devnull).open("w") as nowhere:
        display = Display(Console(file=nowhere))
        features, card = preparation.prepare_features(settings, display)
        (settings.run_folder / "settings.json").write_text(settings.to_json())
        place = ray_cluster.init_ray(None, cpus_per_trial=1, gpus_per_trial=0, dashboard=False)
        base = preparation.train_base(settings, features, card, lambda: place, display)
        ray_cluster.shutdown_ray()
    before = files(settings.run_folder)
    log = run_nothing(settings, base, features)
    lines = []
    for ended in sorted({n for n in (100, 500, 1_000, 2_000, 5_000, options.many) if n <= options.many}):
        growth = log.looks[ended].resident - log.looks[0].resident
        pace = 1e3 * (log.looks[ended].clock - log.looks[ended - 99].clock) / 99
        lines.append(f"| {ended:,} | {growth:+.0f} MB | {pace:.1f} ms | |")
    growth = log.looks[-1].peak - log.looks[0].resident
    lines.append(f"| all, and the tables | {growth:+.0f} MB at most | | {verdict(growth, BARS['growth'], 'MB')} |")
    text = table(("ended trials", "driver's memory", "a trial, last 100", "bar"), lines)
    text += f"\n\nFrom the last trial's end to the end of the run: {log.looks[-1].clock - log.looks[-2].clock:.1f} s."
    after = files(settings.run_folder)
    text += f"\n\nFiles in the run's folder: {before} before the first trial, {after} after {len(log.records):,}.\n\n"
    front = front_of(log.records.values())
    for record in front:
        shutil.copytree(base, settings.run_folder / "detectors" / str(record.number))
    began = time.perf_counter()
    command = [sys.executable, "-m", "search.export", str(settings.run_folder), "--to", f"{options.storage}/front"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    taken = time.perf_counter() - began
    return text + f"Export of a front of {len(front)}: {taken:.1f} s ({verdict(taken, BARS['export'], 's')})."


def files(folder: Path) -> int:
    """How many files lie below a folder."""
    return sum(path.is_file() for path in folder.rglob("*"))


def table(header: Sequence[str], lines: Sequence[str]) -> str:
    """A Markdown table of finished lines."""
    return "\n".join([f"| {' | '.join(header)} |", "|---" * len(header) + "|", *lines])


def verdict(value: float, bar: float, unit: str) -> str:
    """A figure against its bar."""
    return f"{'met' if value <= bar else 'missed'}: {value:.1f} of {bar:g} {unit}"


def main() -> None:
    """Measure the parts asked for and print their tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="asvspoof2019-la")
    parser.add_argument("--corpus-root", required=True)
    parser.add_argument("--storage", help="folder for the runs (default: a temporary one)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=5, help="of parts 1 and 2")
    parser.add_argument("--many", type=int, default=10_000, help="trials of part 3")
    options = parser.parse_args()
    ray_cluster.prepare(None)
    makers: Mapping[str, Any] = {"start": start_table, "trials": trials_table, "many": many_table}
    with tempfile.TemporaryDirectory() as temporary:
        options.storage = options.storage or temporary
        for part in options.parts:
            print(makers[part](options), flush=True)
            print()


if __name__ == "__main__":
    main()
