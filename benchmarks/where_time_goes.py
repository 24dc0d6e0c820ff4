"""Where the time of trials of about twenty seconds goes: a real run, its workers' time divided among what they did.

Trials say themselves how long they trained, scored, changed their structure, built activations and wrote files. What is
left of the workers' time, from the first trial's beginning to the last one's end, lies between epochs and trials: Tune,
Optuna and the run's files. The bar: at most 5 % outside training and scoring.

    python benchmarks/where_time_goes.py --corpus-root CORPUS --storage runs/where-time-goes
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

from search.runs import trial_log
from timing import table, verdict

WORK = ("training", "scoring")
EPOCHS = {"plasticity": 24, "dropin": 44}
"""Of a trial of about twenty seconds on one core."""
TRIAL = re.compile(r"^(\S+ \S+) \w+ search\.running\.tune_callback: trial \d+(?: \(\S+\))?:? (\S+)", re.MULTILINE)
WORKERS = re.compile(r"^workers: (\d+) at once", re.MULTILINE)


def main() -> None:
    """Run the searches and print their tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="asvspoof2019-la")
    parser.add_argument("--corpus-root")
    parser.add_argument("--storage", default="runs/where-time-goes")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    for space, epochs in EPOCHS.items():
        print(f"\n{space}\n")
        print(divided(space, epochs, options))


def divided(space: str, epochs: int, options: argparse.Namespace) -> str:
    """The table of one run."""
    folder = Path(options.storage) / space
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "search.run", "--space", space, "--name", space, "--sampler", "random"]
    command += ["--storage", options.storage, "--corpus", options.corpus, "--model-option", f"width={options.width}"]
    command += ["--corpus-root", options.corpus_root] if options.corpus_root else []
    command += ["--trials", str(options.trials), "--epochs", str(epochs), "--stopping", "none"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = WORKERS.search(said)
    assert found is not None, "the run says how many workers it has"
    workers = int(found[1])
    records = [one for one in trial_log.read(folder / "trials.jsonl").values() if one.seconds is not None]
    total = busy((folder / "run.log").read_text(encoding="utf-8"), workers)
    spent: Counter[str] = Counter()
    for record in records:
        spent.update(record.seconds_parts)
    rows = [(part, f"{seconds / len(records):.2f}", f"{seconds / total:.2%}") for part, seconds in spent.most_common()]
    rest = total - sum(spent.values())
    rows.append(("between epochs and trials", f"{rest / len(records):.2f}", f"{rest / total:.2%}"))
    outside = 1 - sum(spent[part] for part in WORK) / total
    rows.append(("outside training and scoring", f"{outside * total / len(records):.2f}", verdict(outside, 0.05)))
    return table((f"{len(records)} trials of {total / len(records):.1f} s", "seconds a trial", "share"), rows)


def busy(log: str, workers: int) -> float:
    """Seconds that workers had trials, from the first one's beginning to the end of each worker's last.

    A worker that finds no trial left waits for the others: that is the end of a short run, not a cost of trials.
    """
    begins: list[datetime] = []
    ends: list[datetime] = []
    for moment, what in TRIAL.findall(log):
        if not what.startswith("epoch"):
            (begins if what == "begins" else ends).append(datetime.fromisoformat(moment.replace(",", ".")))
    return sum((end - min(begins)).total_seconds() for end in sorted(ends)[-workers:])


if __name__ == "__main__":
    main()
