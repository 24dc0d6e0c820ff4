"""A trial that costs nothing: the search's tests run it where the real one would train."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import optuna
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT


def space(trial: optuna.Trial) -> dict[str, Any]:
    """A plan of two numbers, and how the trial behaves."""
    return {"x": trial.suggest_float("x", 0.0, 1.0), "size": trial.suggest_int("size", 50, 150), "epochs": 2}


class Pretended(tune.Trainable):
    """Its EER and size are in its plan. A plan may say ``fails`` (raise, nan, die) and ``seconds`` an epoch.

    With ``full``, a file with a number, it finds the disk full so many times.

    With ``lost``, a file, it dies when first a worker takes it over from another trial; with ``awaits``, another file,
    not before that is there.

    With ``trace``, a file, it writes its epochs there, and dies in the second one if that is the first time, and asks
    for a checkpoint after every epoch.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self.plan, self.epoch = config["plan"], 0

    def step(self) -> dict[str, Any]:
        self.epoch += 1
        time.sleep(self.plan.get("seconds", 0.0))
        if "full" in self.plan and (left := int(Path(self.plan["full"]).read_text())):
            Path(self.plan["full"]).write_text(str(left - 1))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "detector")
        fails = self.plan.get("fails")
        if "trace" in self.plan:
            with Path(self.plan["trace"]).open("a") as trace:
                trace.write(f"{self.epoch} ")
            if Path(self.plan["trace"]).read_text() == "1 2 ":
                fails = "die"
        if fails == "raise":
            raise RuntimeError("the loss is no number")
        if fails == "die":
            os._exit(1)
        eer = float("nan") if fails == "nan" else 0.05 + (self.plan["x"] - 0.3) ** 2
        return {
            "epoch": self.epoch,
            "epochs": self.plan["epochs"],
            "eer": eer,
            "best_eer": eer,
            "weighted_eer": eer * self.plan["size"] / 100,
            "best_weighted_eer": eer * self.plan["size"] / 100,
            "loss": 1.0,
            "last_change": 0,
            "last_cut": 0,
            "work_done": self.epoch / self.plan["epochs"],
            "size": self.plan["size"],
            "trainable_parameters": self.plan["size"],
            "total_widths": {"site": 4},
            "done": self.epoch == self.plan["epochs"],
            SHOULD_CHECKPOINT: "trace" in self.plan and self.epoch < self.plan["epochs"],
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "state.json").write_text(json.dumps(self.epoch))

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        self.epoch = json.loads(Path(checkpoint_dir, "state.json").read_text())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        if "lost" in self.plan and not (trace := Path(self.plan["lost"])).exists():
            trace.touch()
            while "awaits" in self.plan and not Path(self.plan["awaits"]).exists():
                time.sleep(0.01)
            os._exit(1)
        return True
