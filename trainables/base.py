"""A trial on a worker: one epoch a step. The only file of this package that knows Ray."""

from __future__ import annotations

import functools
import importlib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from trainables.errors import DropinError
from trainables.features.split import Split
from trainables.features.store import open_split
from trainables.jobs.pretraining import class_counts
from trainables.metrics.weighted_eer import weighted_eer
from trainables.storage.activations import ActivationCache
from trainables.storage.checkpoint import Detector, load_detector, save_detector
from trainables.storage.node_paths import NodePaths, store_detector
from trainables.trial.execution import Execution
from trainables.trial.growth_cache import GrowthCache
from trainables.trial.plan import Plan
from trainables.trial.training import Diverged, select_device

CHECKPOINT_SECONDS = 30.0
"""How much of a trial a lost worker may cost. Writing a checkpoint takes longer than some epochs."""


class DetectorTrainable(tune.Trainable):
    """Carries out the plan in ``config["plan"]`` on the base and features that ``config["job"]`` names.

    The config is a plain dict: job (base, features, activations, activations_limit, run_folder, size_weight,
    size_base, seed, random_crop, precision, prunings_per_growth, growth_cache_limit, threads, gpu), plan, number, name,
    recipe, exempt.
    Each step does one epoch and reports dev EER, loss, size and cost, and asks for a checkpoint where the last is
    `CHECKPOINT_SECONDS` old. The last one writes the detector of the best dev EER to
    ``run_folder/detectors/<number>``. Where nodes share no folder, the job says so by ``storage``, the run's URI, and
    ``cache``; base and features are URIs then, and the detector goes to ``storage/detectors/<number>``.
    """

    procedure = ""
    name = ""
    took_over = False
    """Whether this actor carried out other trials before."""

    def setup(self, config: dict[str, Any]) -> None:
        """Parse the plan and open what it needs.

        Raises:
            DropinError: a plan of another procedure, or one that breaks a rule; a damaged base or feature store.
        OSError: what this node lacks cannot be fetched.
        """
        importlib.import_module("torch._dynamo")  # or the first optimiser would, in the midst of the trial
        began = time.monotonic()
        job = config["job"]
        self.job, self.number = job, int(config["number"])
        self.name = str(config.get("name", f"{self.procedure}-{self.number}"))
        print(f"{self.name} begins", flush=True)  # into the actor's log, which the dashboard shows
        torch.set_num_threads(job["threads"])
        paths = NodePaths.from_job(job)
        base = _base(str(paths.base))
        plan = Plan.from_config(config["plan"], base.arch)
        if plan.procedure != self.procedure:
            raise DropinError(
                f"{type(self).__name__} carries out plans of procedure {self.procedure}; got one of {plan.procedure}: "
                "load the trainable by the plan's procedure"
            )
        self.size, self.base_card = plan.final.size(), base.card
        several = job["prunings_per_growth"] > 1
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
            growth_cache=GrowthCache(paths.growth_cache, job["growth_cache_limit"]) if several else None,
            choose_criterion=several and not config["exempt"],
        )
        self.saved = time.monotonic()
        self.seconds = {"setup": self.saved - began, "detector": 0.0, "checkpoints": 0.0}

    def step(self) -> dict[str, Any]:
        """One epoch.

        Where loss or scores are no longer numbers, the result says so under ``failed`` and is the last: to raise would
        make Tune try again what is bound to fail again.
        """
        run = self.execution
        try:
            result = run.run_epoch()
        except Diverged as error:
            nothing = dict.fromkeys(("eer", "weighted_eer", "best_eer", "best_weighted_eer", "loss"), math.nan)
            return {**nothing, **self._progress(), "failed": str(error), "done": True}
        done = run.epoch == run.plan.epochs
        best = result["eer"] if run.best is None else run.best_eer
        if done:
            with self._timed("detector"):
                self._write_detector()
        due = not done and time.monotonic() - self.saved > CHECKPOINT_SECONDS
        return {
            **result,
            **self._progress(),
            "weighted_eer": self._weighted(result["eer"]),
            "best_eer": best,
            "best_weighted_eer": self._weighted(best),
            "best_epoch": run.best_epoch,
            "best_eer_interval": run.best_interval,
            "from_growth_cache": run.from_growth_cache,
            "criterion": run.plan.config["criterion"],
            "total_widths": run.plan.final.total_widths(),
            "done": done,
            "seconds_parts": {**self.seconds, **run.seconds},
            SHOULD_CHECKPOINT: due,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write all that the rest of the trial depends on."""
        with self._timed("checkpoints"):
            self.execution.save(Path(checkpoint_dir))
        self.saved = time.monotonic()

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Go on from a written state."""
        self.execution.load(Path(checkpoint_dir))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial without starting a process anew."""
        self.took_over = True
        self.setup(new_config)
        return True

    def __repr__(self) -> str:
        """The current trial, as errors name it.

        The dashboard's list of actors shows what this was when the actor started: Ray asks then, and never again. So
        the first trial's name says that others follow; which one it is now, the last line of the actor's log says.
        """
        return self.name if self.took_over else f"{self.name} and later ones"

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] += time.monotonic() - began

    def _progress(self) -> dict[str, Any]:
        """How far the plan is, and the final size."""
        epoch, plan = self.execution.epoch, self.execution.plan
        changes = {"last_change": plan.last_change, "last_cut": plan.last_cut, "work_done": plan.work_done(epoch)}
        return {"epoch": epoch, "epochs": plan.epochs, "size": self.size, **changes}

    def _weighted(self, eer: float) -> float:
        counts = class_counts(self.dev)
        return weighted_eer(
            eer, self.size, self.job["size_base"], counts["n_bonafide"], counts["n_spoof"], self.job["size_weight"]
        )

    def _write_detector(self) -> None:
        run = self.execution
        assert run.best is not None, "the last epoch always counts"
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
    """The base, read once a process."""
    return load_detector(Path(folder))


@functools.lru_cache(maxsize=4)
def _split(folder: str, name: str) -> Split:
    """A mapped split, opened once a process."""
    return open_split(Path(folder), name)
