"""The search against what people would use instead: hypervolume over time, everybody with the same wall-clock.

Every searcher gets the same corpus and detector (resnet18), the same two cores and `--minutes` from its command on,
with nothing cached before; it is ended by a signal when time is over. What counts are detectors that ran to their end
by then. Hypervolume is that of (dev EER, log10 of size) up to (0.5, log10 of twice the base), as a share of what lies
between that point and (0, log10 of a thousandth of the base).

- *ours, weighted* and *ours, pareto*: ``search.run`` with its defaults; *ours, random* the same with random plans and
  neither early stopping nor further prunings.
- *Ray Tune*: ``peers/plain_ray_tune.py``, with ASHA and without.
- *Optuna*: ``peers/plain_optuna.py``, multi-objective TPE, NSGA-II and random; base and spectrograms are made once.
- *Syne Tune*: ``peers/plain_syne_tune.py``, MOASHA; base and spectrograms are made once.

Everybody may cut as far: to a sixteenth of the width of all blocks and of the residual streams, and any block may be
removed as a whole.

The bars: ours reaches the best peer's final hypervolume in at most half the time, and ends at least 10 % above it, in
the median over seeds.

    python benchmarks/against_peers.py --corpus-root CORPUS --storage runs/against-peers

Nine searchers, three seeds and three minutes take 90 minutes; what was measured is kept in the storage folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from search.runs import pareto, trial_log
from timing import table
from trainables.models.architecture import Architecture

PEERS = Path(__file__).resolve().parent / "peers"
ENDED = re.compile(r"^(\S+ \S+) \w+ search\.running\.tune_callback: trial (\d+)(?: \(\S+\))?: EER", re.MULTILINE)
GRACE = 20.0
"""Seconds to end in good order; what ends then does not count."""
Told = list[tuple[float, float, int]]
"""Seconds from the command, EER and size of each detector."""


def searchers(options: argparse.Namespace) -> dict[str, Callable[[Path, int], tuple[list[str], Callable[[], Told]]]]:
    """By name: from a folder and a seed to a command, and what it has told in the end."""
    corpus, width = str(Path(options.corpus_root).resolve()), str(options.width)
    epochs = ["--epochs", str(options.epochs), "--base-epochs", str(options.base_epochs)]

    many, minutes = ("--trials", "100000"), ("--minutes", str(options.minutes))

    def ours(*what: str) -> Callable[[Path, int], tuple[list[str], Callable[[], Told]]]:
        def make(folder: Path, seed: int) -> tuple[list[str], Callable[[], Told]]:
            command = ["-m", "search.run", "--space", "plasticity", "--model-option", f"width={width}", *epochs, *what]
            command += ["--corpus", "asvspoof2019-la", "--corpus-root", corpus, "--seed", str(seed)]
            command += ["--storage", str(folder), "--name", "run", "--cache", str(folder / "cache"), *many]
            return command, lambda: from_log(folder / "run")

        return make

    def theirs(script: str, *what: str) -> Callable[[Path, int], tuple[list[str], Callable[[], Told]]]:
        def make(folder: Path, seed: int) -> tuple[list[str], Callable[[], Told]]:
            command = [str(PEERS / script), "--corpus-root", corpus, "--width", width, *epochs, "--seed", str(seed)]
            return [*command, "--told", str(folder / "told"), *what], lambda: from_lines(folder / "told")

        return make

    return {
        "ours, weighted": ours(),
        "ours, pareto": ours("--objective", "pareto"),
        "ours, random": ours("--sampler", "random", "--stopping", "none", "--prunings-per-growth", "1"),
        "Ray Tune": theirs("plain_ray_tune.py", *many),
        "Ray Tune, ASHA": theirs("plain_ray_tune.py", "--asha", *many),
        "Optuna, TPE": theirs("plain_optuna.py", "--sampler", "tpe", *many),
        "Optuna, NSGA-II": theirs("plain_optuna.py", "--sampler", "nsga2", *many),
        "Optuna, random": theirs("plain_optuna.py", "--sampler", "random", *many),
        "Syne Tune, MOASHA": theirs("plain_syne_tune.py", *minutes),
    }


def from_log(folder: Path) -> Told:
    """What one of our runs tells; times are absolute."""
    records = trial_log.read(folder / "trials.jsonl")
    log = folder / "run.log"
    found = ENDED.findall(log.read_text(encoding="utf-8")) if log.exists() else []
    told: Told = []
    for stamp, number in found:
        record = records[int(number)]
        assert record.eer is not None
        assert record.size is not None
        told.append((datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp(), record.eer, record.size))
    return told


def from_lines(path: Path) -> Told:
    """What a peer told; times are absolute."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(line["time"], line["eer"], line["size"]) for line in map(json.loads, lines)]


def measure(name: str, seed: int, options: argparse.Namespace) -> Told:
    """Run a searcher for its time, unless that was done before."""
    folder = Path(options.storage).resolve() / f"{name.replace(', ', '-').replace(' ', '-').lower()}-{seed}"
    kept = folder / "measured.json"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command, read = searchers(options)[name](folder, seed)
        environment = {
            **os.environ,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        environment["PYTHONPATH"] = os.pathsep.join((str(PEERS.parent.parent), str(PEERS)))
        environment["SYNETUNE_FOLDER"] = str(folder / "syne-tune")
        began = time.time()
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command], env=environment, stdout=output, stderr=output, start_new_session=True
            )
            end(process, began + 60 * options.minutes)
        kept.write_text(json.dumps([(at - began, eer, size) for at, eer, size in read()]), encoding="utf-8")
    found = json.loads(kept.read_text(encoding="utf-8"))
    return [(at, eer, size) for at, eer, size in found if at <= 60 * options.minutes]


def end(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Let a process run until then, and end it and all that it started."""
    for ask, patience in ((signal.SIGINT, deadline - time.time()), (signal.SIGKILL, GRACE)):
        try:
            process.wait(max(0.0, patience))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, ask)
    process.wait()
    time.sleep(5.0)  # what Ray started notices
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def volume(told: Told, until: float, base: int) -> float:
    """Hypervolume of what was told by then."""
    return pareto.share([(eer, size) for at, eer, size in told if at <= until], base)


def reaches(told: Told, wanted: float, base: int) -> float:
    """Seconds until a hypervolume is reached; infinity for never."""
    return next((at for at, _, _ in sorted(told) if volume(told, at, base) >= wanted), float("inf"))


def comparison(told: dict[str, list[Told]], base: int, minutes: float) -> str:
    """The tables: final hypervolumes, over time, and the bars."""
    finals = {name: [volume(one, 60 * minutes, base) for one in runs] for name, runs in told.items()}
    rows = []
    for name, runs in told.items():
        counts = statistics.median(len(one) for one in runs)
        best = statistics.median(min((eer for _, eer, _ in one), default=1.0) for one in runs)
        quarters = [
            f"{statistics.median(volume(one, 60 * minutes * share / 4, base) for one in runs):.3f}"
            for share in (1, 2, 3, 4)
        ]
        spread = f"{min(finals[name]):.3f} to {max(finals[name]):.3f}"
        rows.append([name, f"{counts:g}", f"{100 * best:.2f} %", *quarters, spread])
    head = ["searcher", "detectors", "lowest EER", "at 1/4", "at 1/2", "at 3/4", "in the end", "range"]
    peers = [name for name in told if not name.startswith("ours")]
    if not peers:
        return table(head, rows)
    peer = max(peers, key=lambda name: statistics.median(finals[name]))
    wanted = statistics.median(finals[peer])
    lines = [table(head, rows), "", f"Best peer: {peer}, {wanted:.3f}."]
    for name in ("ours, weighted", "ours, pareto"):
        if name in told:
            seconds = statistics.median(reaches(one, wanted, base) for one in told[name])
            share, above = seconds / (60 * minutes), statistics.median(finals[name]) / wanted - 1
            verdicts = ["missed", "met"]
            lines.append(
                f"- {name}: there after {share:.2f} of the time (at most 0.5: {verdicts[share <= 0.5]}), ends "
                f"{100 * above:+.1f} % (at least +10: {verdicts[above >= 0.1]})"
            )
    return "\n".join(lines)


def picture(told: dict[str, list[Told]], base: int, minutes: float, path: Path) -> None:
    """Median hypervolume over time."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    times = np.linspace(0, 60 * minutes, 120)
    for name, runs in told.items():
        middle = [statistics.median(volume(one, at, base) for one in runs) for at in times]
        axes.step(times / 60, middle, where="post", label=name, linewidth=2.5 if name.startswith("ours") else 1.2)
    axes.set_xlabel("minutes from the command")
    axes.set_ylabel("hypervolume, median over seeds")
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everybody and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus-root", required=True, help="the folder above LA")
    parser.add_argument("--storage", default="runs/against-peers")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", help="searchers, by name")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--base-epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args(arguments)
    base = Architecture.create("resnet18", {"width": options.width}).size()
    names = options.only or list(searchers(options))
    told: dict[str, list[Told]] = {name: [] for name in names}
    for seed in options.seeds:
        for name in names:
            told[name].append(measure(name, seed, options))
    print(comparison(told, base, options.minutes))
    picture(told, base, options.minutes, Path(options.storage) / "hypervolume.png")


if __name__ == "__main__":
    main()
