"""What a simulated trial does: seconds and learning curve of a recorded trial like it, an EER by regression on all.

A trial's EER follows from its plan: ridge regression of the recorded trials' log odds of error on what their plans do
(sizes, learning rates, epochs, rules), plus noise as large as the regression's own error on trials that it has not
seen. So plans differ for reasons that a sampler can learn, no more surely than in the recorded search.

Record a search with

    python -m search.run --sampler random --trials 64 --storage runs --name recorded ...
    python benchmarks/recorded_trials.py runs/recorded
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from ray.tune.experiment.trial import _TrainingResult
from ray.tune.result import SHOULD_CHECKPOINT

from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from spaces import shared
from trainables import models
from trainables.base import CHECKPOINT_SECONDS
from trainables.metrics.weighted_eer import weighted_eer
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector
from trainables.storage.run_paths import RunPaths
from trainables.trial.plan import Plan

FILE = Path(__file__).with_name("recorded_curves.json")
EPOCH = re.compile(
    r"^(\S+ \S+) INFO search\.running\.tune_callback: trial (\d+): epoch (\d+) of \d+, EER (\S+)$", re.MULTILINE
)
BEGIN = re.compile(r"^(\S+ \S+) INFO search\.running\.tune_callback: trial (\d+) begins", re.MULTILINE)
PENALTIES = np.logspace(-2, 3, 26)
CHOICES: Mapping[str, Sequence[str]] = {
    "rule": ("random", "zero", "split", "gradmax"),
    "criterion": ("original", "magnitude", "taylor", "activation"),
    "after": ("finetune", "rewind_weights", "rewind_lr"),
    "schedule": shared.SCHEDULES,
    "moments": ("carry", "reset"),
    "train": ("new", "new+head", "all"),
}


def record(folder: Path) -> dict[str, Any]:
    """What is kept of a run: its settings, and of every complete trial the plan, size, best EER and epochs."""
    settings = Settings.from_json(RunPaths(folder).settings.read_text(encoding="utf-8"))
    text = (folder / "run.log").read_text(encoding="utf-8")
    times = {int(number): [_seconds(stamp)] for stamp, number in BEGIN.findall(text)}
    curves: dict[int, list[float]] = {number: [] for number in times}
    for stamp, number, epoch, eer in EPOCH.findall(text):
        if int(epoch) == len(curves[int(number)]) + 1:
            times[int(number)].append(_seconds(stamp))
            curves[int(number)].append(float(eer))
    trials = [
        {
            "plan": one.plan,
            "size": one.size,
            "best_eer": round(float(one.eer or 0), 5),
            "eer": curves[number],
            "seconds": np.diff(times[number]).round(2).tolist(),
        }
        for number, one in sorted(TrialLog(folder / "trials.jsonl").records.items())
        if one.state == "COMPLETE" and len(curves.get(number, ())) == one.epochs
    ]
    corpus = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    kept = {name: getattr(settings, name) for name in ("space", "model", "model_option", "epochs")}
    counts = {split: {name: one[name] for name in ("bona_fide", "spoof")} for split, one in corpus["splits"].items()}
    about = {"corpus": corpus["name"], "train": sum(counts["train"].values()), "dev": counts["dev"]}
    base = load_detector(folder / "base").card["eer_dev"]
    return {**kept, **about, "base_eer": base, "trials": trials}


def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp()


@dataclass(frozen=True)
class Outcome:
    """What a trial comes to.

    Attributes:
        widths: neurons by site of its final detector.
        last_change: epochs before its last change of structure.
        last_cut: epochs before its last cut.
        work_done: the share of its work that is over after each epoch.
        size: parameters of its final detector.
        worth: the EER that its plan gives on average.
        eer: dev EER after each epoch; the least is the trial's.
        seconds: of each epoch.
    """

    widths: Mapping[str, int]
    last_change: int
    last_cut: int
    work_done: tuple[float, ...]
    size: int
    worth: float
    eer: tuple[float, ...]
    seconds: tuple[float, ...]


class Recording:
    """Recorded trials, and the regression on them.

    Attributes:
        about: what was recorded.
        arch: the base's architecture.
        spread: standard deviation of the log odds of a trial's EER about what its plan lets expect.
    """

    def __init__(self, path: Path = FILE) -> None:
        """Read what `record` kept and fit the regression."""
        self.about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self._trials: list[dict[str, Any]] = self.about["trials"]
        self.arch = Architecture.create(self.about["model"], self.about["model_option"])
        self._base, self._base_size = self.arch.total_widths(), self.arch.size()
        self._lr = models.load(self.about["model"]).RECIPE["lr"]
        self._half = 1 / (2 * min(self.about["dev"].values()))
        raw = np.array([self._features(one["plan"], one["size"]) for one in self._trials])
        self._mean, self._scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-9)
        x = (raw - self._mean) / self._scale
        y = _log_odds(np.array([one["best_eer"] for one in self._trials]) + self._half)
        self._known, self._centre = x, y.mean()
        fits = [_ridge(x, y - self._centre, penalty) for penalty in PENALTIES]
        self._weights, self.spread = min(fits, key=lambda fit: fit[1])

    def outcome(self, plan: Mapping[str, Any], seed: int) -> Outcome:
        """What a trial of this plan comes to in the run of this seed."""
        parsed = Plan.from_config(plan, self.arch)
        widths, size = parsed.final.total_widths(), parsed.final.size()
        x = (self._features(plan, size) - self._mean) / self._scale
        expected = float(self._centre + x @ self._weights)
        drawn_by = {key: value for key, value in plan.items() if key != "procedure"}  # which plans did not always have
        digest = hashlib.sha256(json.dumps([drawn_by, seed], sort_keys=True).encode()).digest()
        best = expected + self.spread * float(np.random.default_rng(list(digest)).standard_normal())
        like = self._trials[int(np.square(self._known - x).sum(axis=1).argmin())]
        curve = _log_odds(np.array(like["eer"]) + self._half)
        eer = np.clip(_probability(curve - curve.min() + best) - self._half, 0, 1)
        worth = float(np.clip(_probability(np.array(expected)) - self._half, 0, 1))
        changes = parsed.last_change, parsed.last_cut, tuple(map(parsed.work_done, range(1, parsed.epochs + 1)))
        return Outcome(widths, *changes, size, worth, tuple(eer.tolist()), tuple(like["seconds"]))

    def weighted(self, eer: float, size: int, size_base: int, size_weight: float) -> float:
        """The objective's value."""
        counts = self.about["dev"]
        return weighted_eer(eer, size, size_base, counts["bona_fide"], counts["spoof"], size_weight)

    def _features(self, plan: Mapping[str, Any], size: int) -> np.ndarray:
        rate, more = np.log(plan["lr"] / self._lr), np.log(size / self._base_size)
        grown = sum(plan["grow"].values()) / sum(self._base.values())
        acts = {"rule": bool(plan["grow"]), "criterion": bool(plan["final"]), "after": bool(plan["final"])}
        numbers = [rate, rate**2, more, more**2, grown, np.log(plan["recover_lr"] / plan["lr"]), plan["prune_steps"]]
        numbers += [plan[name] / plan["epochs"] for name in ("grow_epoch", "prune_epoch")]
        for name, choices in CHOICES.items():
            numbers += [float(plan[name] == choice and acts.get(name, True)) for choice in choices]
        return np.array(numbers)


def _ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Weights, and the root mean square of the errors on each trial by a fit on the others (closed form)."""
    inverse = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
    weights = inverse @ y
    leverage = np.einsum("ij,ji->i", x, inverse) + 1 / len(y)
    return weights, float(np.sqrt(np.mean(np.square((y - x @ weights) / (1 - leverage)))))


def _log_odds(share: np.ndarray) -> np.ndarray:
    return np.log(share / (1 - share))


def _probability(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


@functools.lru_cache(maxsize=1)
def recording(path: str) -> Recording:
    """The recording, read once a process."""
    return Recording(Path(path))


class RecordedTrainable(tune.Trainable):
    """Reports what a recorded trial would.

    Its job names the file of the recording (``recording``) and may ask for a single result at the end (``whole``).
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Look up what the trial will come to."""
        self.job = config["job"]
        self.outcome = recording(self.job["recording"]).outcome(config["plan"], self.job["seed"])
        self.epoch, self.unsaved = 0, 0.0

    def step(self) -> dict[str, Any]:
        """An epoch, or the whole trial, as ``DetectorTrainable`` reports it."""
        before, epochs = self.epoch, len(self.outcome.eer)
        self.epoch = epochs if self.job["whole"] else before + 1
        eer, best = self.outcome.eer[self.epoch - 1], min(self.outcome.eer[: self.epoch])
        size, sizes = self.outcome.size, (self.outcome.size, self.job["size_base"], self.job["size_weight"])
        weighted, best_weighted = (recording(self.job["recording"]).weighted(one, *sizes) for one in (eer, best))
        seconds = sum(self.outcome.seconds[before : self.epoch])
        self.unsaved += seconds
        return {
            "stage": "retrain",
            "loss": eer,
            "eer": eer,
            "threshold": 0.0,
            "trainable_parameters": size,
            "seconds_forward": seconds / 60,
            "seconds_backward": seconds / 30,
            "seconds_step": seconds / 20,
            "epoch": self.epoch,
            "epochs": epochs,
            "size": size,
            "weighted_eer": weighted,
            "best_eer": best,
            "best_weighted_eer": best_weighted,
            "best_epoch": self.epoch,
            "last_change": self.outcome.last_change,
            "last_cut": self.outcome.last_cut,
            "work_done": self.outcome.work_done[self.epoch - 1],
            "total_widths": dict(self.outcome.widths),
            "time_this_iter_s": seconds,
            "done": self.epoch == epochs,
            SHOULD_CHECKPOINT: self.epoch < epochs and self.unsaved > CHECKPOINT_SECONDS,
        }

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """A checkpoint of one file, written where Tune would copy it to; to copy it is the worker's time."""
        assert self._storage is not None, "Tune gives trials a storage"
        self.unsaved = 0.0
        metrics: dict[str, Any] = dict(self._last_result or {})
        self._storage._update_checkpoint_index(metrics)
        folder = Path(self._storage.checkpoint_fs_path)
        folder.mkdir(parents=True)
        Path(folder, "state.json").write_text(str(self.epoch))
        return _TrainingResult(tune.Checkpoint(str(folder)), metrics)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Go on from it."""
        self.epoch = int(Path(checkpoint_dir, "state.json").read_text())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self.setup(new_config)
        return True


def main() -> None:
    """Keep a run's trials beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run of resnet18 over plasticity")
    kept = record(parser.parse_args().run)
    lines = ",\n".join(json.dumps(trial, separators=(",", ":")) for trial in kept.pop("trials"))
    FILE.write_text(f'{json.dumps(kept)[:-1]}, "trials": [\n{lines}\n]}}\n', encoding="utf-8")
    found = Recording()
    print(f"{len(found.about['trials'])} trials, {FILE.stat().st_size:,} bytes, spread {found.spread:.2f}")


if __name__ == "__main__":
    main()
