"""The Tune trainable of a trial: one epoch a step. The only file of this package that imports Ray."""

from __future__ import annotations

import functools
import importlib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from trainables.errors import DropinError
from trainables.features.split import Split
from trainables.features.store import open_split
from trainables.jobs.pretraining import class_counts
from trainables.messages import TrialConfig, TrialProgress, TrialResult
from trainables.metrics.weighted_eer import weighted_eer
from trainables.storage.activations import ActivationCache
from trainables.storage.checkpoint import Detector, load_detector, save_detector
from trainables.storage.node_paths import NodePaths, store_detector
from trainables.trial.execution import Execution
from trainables.trial.growth_cache import GrowthCache
from trainables.trial.plan import Plan
from trainables.trial.training import Diverged, select_device

CHECKPOINT_SECONDS = 30.0
"""Least seconds between two checkpoints of a trial: writing one takes longer than some epochs."""
DIVERGED: tuple[Literal["eer", "weighted_eer", "best_eer", "best_weighted_eer", "loss"], ...] = (
    *("eer", "weighted_eer", "best_eer", "best_weighted_eer", "loss"),
)
"""What a trial that diverged reports as NaN: Tune ends the whole experiment where a metric is missing."""


class DetectorTrainable(tune.Trainable):
    """Carries out the plan in ``config["plan"]`` with the base and features that ``config["job"]`` names.

    Config and results are plain dicts, see `trainables.messages`. Each step trains one epoch, reports its result, and
    requests a checkpoint if the last one is older than `CHECKPOINT_SECONDS`. The last step writes the detector of the
    lowest dev EER to ``run_folder/detectors/<number>``. Without a shared file system, the job has ``storage``, the URI
    of the run, and ``cache``; base and features are then URIs, and the detector is uploaded to
    ``storage/detectors/<number>``.
    """

    procedure = ""
    name = ""
    reused = False
    """Whether this actor ran other trials before (`reuse_actors` of Tune)."""

    def setup(self, config: dict[str, Any]) -> None:
        """Parse the plan, and open base and features.

        Raises:
            DropinError: a plan of another procedure, or one that breaks a rule; a damaged base or feature store.
            OSError: base or features cannot be downloaded to this node.
        """
        importlib.import_module("torch._dynamo")  # else the first optimiser imports it, and its time counts as training
        started = time.monotonic()
        trial = cast(TrialConfig, config)
        job = self.job = trial["job"]
        self.number, self.name = trial["number"], trial["name"]
        print(f"trial {self.name} started", flush=True)  # goes to the actor's log, which the dashboard shows
        torch.set_num_threads(job["threads"])
        paths = NodePaths.from_job(job)
        base = _base(str(paths.base))
        plan = Plan.from_config(trial["plan"], base.arch)
        if plan.procedure != self.procedure:
            raise DropinError(
                f"{type(self).__name__} carries out plans of procedure {self.procedure}; got one of {plan.procedure}: "
                "load the trainable by the plan's procedure"
            )
        self.size, self.base_card = plan.final.size(), base.card
        share_growth = job["prunings_per_growth"] > 1
        self.dev = _split(str(paths.features), "dev")
        self.execution = Execution(
            plan,
            base,
            _split(str(paths.features), "train"),
            self.dev,
            seed=job["seed"],
            device=select_device(job["gpu"]),
            random_crop=job["random_crop"],
            precision=job["precision"],
            activations=ActivationCache(paths.activations, paths.features, job["activations_limit"]),
            growth_cache=GrowthCache(paths.growth_cache, job["growth_cache_limit"]) if share_growth else None,
            choose_criterion=share_growth and not trial["exempt"],
        )
        self.last_checkpoint = time.monotonic()
        self.seconds = {"setup": self.last_checkpoint - started, "detector": 0.0, "checkpoints": 0.0}

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        If the trial diverges, the result has the reason under ``failed`` and is the last one: Tune would retry a trial
        that raises, and this one would diverge again.
        """
        run = self.execution
        try:
            result = run.run_epoch()
        except Diverged as error:
            diverged: TrialResult = {**self._progress(done=True), "failed": str(error)}
            for name in DIVERGED:
                diverged[name] = math.nan
            return dict(diverged)
        done = run.epoch == run.plan.epochs
        best = result["eer"] if run.best is None else run.best_eer
        if done:
            with self._timed("detector"):
                self._write_detector()
        checkpoint_due = not done and time.monotonic() - self.last_checkpoint > CHECKPOINT_SECONDS
        found: TrialResult = {
            **result,
            **self._progress(done),
            "weighted_eer": self._weighted(result["eer"]),
            "best_eer": best,
            "best_weighted_eer": self._weighted(best),
            "best_epoch": run.best_epoch,
            "best_eer_interval": run.best_interval,
            "from_growth_cache": run.from_growth_cache,
            "criterion": run.plan.config["criterion"],
            "total_widths": run.plan.final.total_widths(),
            "seconds_parts": {**self.seconds, **run.seconds},
        }
        return {**found, SHOULD_CHECKPOINT: checkpoint_due}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the full state of the trial."""
        with self._timed("checkpoints"):
            self.execution.save(Path(checkpoint_dir))
        self.last_checkpoint = time.monotonic()

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Resume from a checkpoint."""
        self.execution.load(Path(checkpoint_dir))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Set up the next trial in this actor."""
        self.reused = True
        self.setup(new_config)
        return True

    def __repr__(self) -> str:
        """The current trial, as error messages name it.

        Ray reads the name of an actor once, when it starts, and the dashboard's list of actors shows that for good. So
        the first trial's name says that later trials follow; the actor's log has the name of each of them.
        """
        return self.name if self.reused else f"{self.name} and later ones"

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[part] += time.monotonic() - started

    def _progress(self, done: bool) -> TrialProgress:
        """Progress of the plan, and the final size."""
        epoch, plan = self.execution.epoch, self.execution.plan
        return {
            "epoch": epoch,
            "epochs": plan.epochs,
            "size": self.size,
            "last_change": plan.last_change,
            "last_cut": plan.last_cut,
            "work_done": plan.work_done(epoch),
            "done": done,
        }

    def _weighted(self, eer: float) -> float:
        counts = class_counts(self.dev)
        return weighted_eer(
            eer, self.size, self.job["size_base"], counts["n_bonafide"], counts["n_spoof"], self.job["size_weight"]
        )

    def _write_detector(self) -> None:
        run = self.execution
        assert run.best is not None, "the last epoch is after the last cut"
        card = {
            **self.base_card,
            "eer_dev": run.best_eer,
            "eer_dev_interval": list(run.best_interval),
            "threshold": run.best_threshold,
            "epoch": run.best_epoch,
            "epochs": run.plan.epochs,
            "plan": dict(run.plan.config),
            "number": self.number,
            "seed": run.seed,
            "size": self.size,
            "total_widths": run.plan.final.total_widths(),
        }
        final, best = run.plan.final, run.best
        store_detector(self.job, self.number, lambda folder: save_detector(folder, final, best, card))


@functools.lru_cache(maxsize=2)
def _base(folder: str) -> Detector:
    """The base, read once per process."""
    return load_detector(Path(folder))


@functools.lru_cache(maxsize=4)
def _split(folder: str, name: str) -> Split:
    """A memory-mapped split, opened once per process."""
    return open_split(Path(folder), name)
