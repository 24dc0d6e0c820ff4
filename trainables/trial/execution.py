"""Execution of a plan, epoch by epoch: growth and cuts between stages, training within them. No Ray.

The saved state holds everything that the rest of the plan depends on, so that resuming from it is exact.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from trainables import models
from trainables.errors import DropinError
from trainables.features.batches import batches
from trainables.features.split import Split
from trainables.messages import EpochResult
from trainables.metrics.eer import between, eer_of
from trainables.metrics.interval import eer_interval
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.storage.activations import ActivationCache, StepInputs
from trainables.storage.checkpoint import Detector
from trainables.surgery import moments as adam
from trainables.surgery.freeze import freeze
from trainables.surgery.merge import merge
from trainables.surgery.prune import prune
from trainables.trial.growing import grow_detector
from trainables.trial.growth_cache import GrowthCache
from trainables.trial.optimizers import build_optimizer, parameter_names
from trainables.trial.plan import Plan, Stage
from trainables.trial.pruning import UnprunedDetector
from trainables.trial.state import TrialState, restore_rng_state
from trainables.trial.training import LOSSES, scores, train_epoch, use_bf16_autocast

CALIBRATION_BATCHES = 4
"""Training batches from which growth rules and criteria compute their statistics."""


class Execution:
    """A plan that is being carried out.

    Attributes:
        epoch: epochs done.
        best: state dict of the final architecture at its lowest dev EER since the last growth or cut, or ``None``.
        best_eer: that EER; ``best_threshold``, ``best_epoch``, ``best_interval`` belong to it.
        from_growth_cache: whether it started from a checkpoint of the growth cache instead of the base.
        seconds: spent on structure (growth, cuts, their statistics), activations, training, scoring, growth cache.
    """

    def __init__(
        self,
        plan: Plan,
        base: Detector,
        train: Split,
        dev: Split,
        *,
        seed: int,
        device: torch.device,
        random_crop: bool = False,
        precision: str = "float32",
        activations: ActivationCache | None = None,
        growth_cache: GrowthCache | None = None,
        choose_criterion: bool = False,
    ) -> None:
        """Start from a base.

        Args:
            plan: parsed with the base's architecture.
            base: the detector to start from.
            train, dev: features of the splits.
            seed: of shuffling, growth and dropout.
            device: where to train.
            random_crop: train on random windows; the activations of frozen links are then not cached.
            precision: see `trainables.trial.training.use_bf16_autocast`.
            activations: cache of the outputs of frozen links; without it every step starts at the features.
            growth_cache: post-growth checkpoints; the plan starts from its own, if it is cached.
            choose_criterion: replace the criterion at the first cut, see `UnprunedDetector.best_plan`.

        Raises:
            DropinError: the plan was made for another architecture than the base's.
        """
        if plan.base != base.arch:
            raise DropinError("the plan was made for another base: parse it with this base's architecture")
        self.plan, self.seed, self.device = plan, seed, device
        self.train, self.dev, self.random_crop = train, dev, random_crop
        self.autocast = use_bf16_autocast(precision, device, base.module)
        self.activations, self.reference = None if random_crop else activations, base.module
        self.inputs = StepInputs(train, dev)
        self.loss = LOSSES[models.load(base.arch.model).RECIPE["loss"]]
        self.rates, self.starts = plan.learning_rates(), plan.starts
        self.growth_cache, self.choose_criterion = growth_cache, choose_criterion
        self.order = np.random.default_rng([seed, 0])
        torch.manual_seed(seed)

        self.seconds = dict.fromkeys(("structure", "activations", "training", "scoring", "growth cache"), 0.0)
        self.epoch, self.from_growth_cache = 0, False
        self.best: dict[str, Tensor] | None = None
        self.best_eer, self.best_threshold, self.best_epoch, self.best_interval = 1.0, 0.0, 0, (0.0, 1.0)
        # A post-growth checkpoint also serves plans that rewind, so it always has the snapshot.
        rewinds = plan.config["after"] == "rewind_weights" or (growth_cache is not None and bool(plan.first_cut))
        self.snapshot: dict[str, Tensor] | None = dict(base.module.state_dict()) if rewinds else None
        self.original = {n: torch.ones(w, dtype=torch.bool) for n, w in base.arch.total_widths().items()}
        self._build_module(base.arch, base.module.state_dict())
        if growth_cache is not None and (cached := growth_cache.find(plan)) is not None:
            try:
                self._restore(*TrialState.read(cached))
                self.from_growth_cache = True
            except ValueError:
                growth_cache.delete(plan)

    def run_epoch(self) -> EpochResult:
        """Train one epoch and score dev.

        Raises:
            Diverged: the loss or a score is not finite.
        """
        assert self.epoch < self.plan.epochs, "all epochs are done"
        number = self._stage_number(self.epoch)
        stage = self.plan.stages[number]
        if self.epoch == self.starts[number]:
            if self.growth_cache is not None and self.epoch == self.plan.first_cut:
                with self._timed("growth cache"):
                    self.growth_cache.store(self.plan, self.save)
            with self._timed("structure"):
                self._start_stage(stage, number)
            with self._timed("activations"):
                self._select_inputs()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rates[self.epoch]
        with self._timed("training"):
            settings = {"batch_size": self.plan.config["batch_size"], "clip": self.plan.config["clip"]}
            settings |= {"device": self.device, "random_crop": self.random_crop, "autocast": self.autocast}
            forward = partial(self.inputs.forward, self.module)
            arguments = (self.module, self.inputs.train, self.optimizer, self.loss)
            stats = train_epoch(*arguments, order=self.order, forward=forward, **settings)
        dev_scores = self._scores(self.module)
        eer, threshold = eer_of(dev_scores, self.dev.labels)
        if self.epoch >= self.plan.last_change and (self.best is None or eer < self.best_eer):
            transfer = merge(self.arch)[1]
            self.best = transfer.apply({key: value.detach().cpu() for key, value in self.module.state_dict().items()})
            self.best_eer, self.best_threshold, self.best_epoch = eer, between(dev_scores, threshold), self.epoch + 1
            self.best_interval = eer_interval(dev_scores, self.dev.labels)
        self.epoch += 1
        trained = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        links = self.inputs.boundary
        found = {"stage": stage.name, "eer": eer, "threshold": threshold, "trainable_parameters": trained}
        return cast(EpochResult, {**found, **asdict(stats), "cached_links": links})

    def save(self, folder: Path) -> None:
        """Write the state into `folder`, which exists."""
        metadata = {
            "plan": dict(self.plan.config),
            "epoch": self.epoch,
            "seed": self.seed,
            "best": [self.best_eer, self.best_threshold, self.best_epoch, *self.best_interval],
            "order": self.order.bit_generator.state,
            "from_growth_cache": self.from_growth_cache,
        }
        moments = adam.collect(self.optimizer, self.module) if self.epoch else {}
        model = self.module.state_dict()
        state = TrialState(self.arch, model, moments, self.best, self.snapshot, self.original, metadata)
        state.write(folder, self.device)

    def load(self, folder: Path) -> None:
        """Resume from a saved state.

        Raises:
            DropinError: damaged, or of another plan or seed.
        """
        state, rng_state = TrialState.read(folder)
        plan, metadata = self.plan, state.metadata
        if self.choose_criterion:
            plan = Plan.from_config({**plan.config, "criterion": metadata["plan"]["criterion"]}, plan.base)
        if metadata["plan"] != json.loads(json.dumps(dict(plan.config))) or metadata["seed"] != self.seed:
            raise DropinError(f"{folder} is a checkpoint of another plan or seed")
        self.plan = plan
        self._restore(state, rng_state)
        # A restarted trial may have found the checkpoint that it had cached itself; its first start counts.
        self.from_growth_cache = metadata["from_growth_cache"]

    def _restore(self, state: TrialState, rng_state: Mapping[str, Tensor]) -> None:
        self.epoch = state.metadata["epoch"]
        self.best_eer, self.best_threshold, self.best_epoch, *interval = state.metadata["best"]
        self.best_interval = (interval[0], interval[1])
        self.best = None if state.best is None else dict(state.best)
        self.snapshot = None if state.snapshot is None else dict(state.snapshot)
        self.order.bit_generator.state = state.metadata["order"]
        self.original = dict(state.original)
        self._build_module(state.arch, state.model)
        if self.epoch:
            self._build_optimizer(self.plan.stages[self._stage_number(self.epoch - 1)])
            self._select_inputs()
            adam.restore(self.optimizer, self.module, state.moments)
        restore_rng_state(rng_state, self.device)

    def _scores(self, module: Chain) -> np.ndarray:
        """Dev scores of the current detector, or of one with the same frozen links."""
        forward, size = partial(self.inputs.forward, module.to(self.device)), module.scoring_batch
        with self._timed("scoring"):
            return scores(module, self.inputs.dev, batch_size=size, device=self.device, forward=forward)

    def _stage_number(self, epoch: int) -> int:
        return int(np.searchsorted(self.starts, epoch, side="right")) - 1

    def _build_module(self, arch: Architecture, state: Mapping[str, Tensor]) -> None:
        """Make `arch` with this state dict the current detector."""
        module = arch.build()
        module.load_state_dict(state)
        self.arch, self.module = arch, module.to(self.device)

    def _build_optimizer(self, stage: Stage) -> None:
        """Freeze what the stage does not train, and build the optimiser for the rest."""
        names = parameter_names(self.module, self.arch, self.plan.base, stage.trainable)
        parameters = freeze(self.module, names)
        self.optimizer = build_optimizer(parameters, self.plan.config)

    def _select_inputs(self) -> None:
        """Start steps at the first link that trains, if activations are cached."""
        if self.activations is not None:
            arguments = (self.module, self.arch, self.train, self.dev)
            self.inputs = self.activations.step_inputs(*arguments, device=self.device, reference=self.reference)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Add the time within the context to a part, without what nested contexts add to others."""
        started, before = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            nested = sum(self.seconds.values()) - before
            self.seconds[part] += time.perf_counter() - started - nested

    def _start_stage(self, stage: Stage, number: int) -> None:
        """Grow or cut, then freeze and build the optimiser."""
        moments = adam.collect(self.optimizer, self.module) if self.epoch else {}
        generator = torch.Generator().manual_seed(self.seed * 1009 + number)
        if stage.grow:
            moments = self._grow(stage, generator, moments)
        if stage.cut:
            moments = self._cut(stage, generator, moments)
        if stage.rewind:
            assert self.snapshot is not None, "a plan that rewinds takes a snapshot at its start"
            self._build_module(self.arch, self.snapshot)
        assert self.arch.widths == stage.arch.widths, "the plan has another architecture"
        self._build_optimizer(stage)
        if not stage.fresh_optimizer:
            adam.restore(self.optimizer, self.module, moments)

    def _grow(self, stage: Stage, generator: torch.Generator, moments: adam.Moments) -> adam.Moments:
        rule, seed, samples = self.plan.config["rule"], self.seed * 1009 + 503, self._calibration_batches
        arch, state = grow_detector(
            self.module, self.arch, stage.grow, rule, seed=seed, generator=generator, batches=samples, loss=self.loss
        )
        for name, count in stage.grow.items():
            self.original[name] = torch.cat([self.original[name], torch.zeros(count, dtype=torch.bool)])
        if stage.merged:
            merged, transfer = merge(arch)
            moments = adam.carry(moments, transfer, {key: value.shape for key, value in state.items()})
            arch, state = merged, transfer.apply(state)
        if self.snapshot is not None:
            self.snapshot = {key: value.clone() for key, value in state.items()}
        self._build_module(arch, state)
        return moments

    def _cut(self, stage: Stage, generator: torch.Generator, moments: adam.Moments) -> adam.Moments:
        before = UnprunedDetector(self.module, self.arch, self.original, self._calibration_batches, self.loss)
        if self.choose_criterion and self.epoch == self.plan.first_cut:
            self.plan = before.best_plan(self.plan, stage, self._scores, self.dev.labels)
        kept = before.select_neurons(stage.cut, self.plan.config["criterion"], generator)
        smaller, transfer = prune(self.arch, kept)
        for name, index in kept.items():
            self.original[name] = self.original[name][torch.tensor(index, dtype=torch.long)]
        state = before.state()
        moments = adam.carry(moments, transfer, {key: value.shape for key, value in state.items()})
        if self.snapshot is not None:
            self.snapshot = transfer.apply(self.snapshot)
        self._build_module(smaller, transfer.apply(state))
        return moments

    def _calibration_batches(self) -> list[tuple[Tensor, Tensor]]:
        """The same few training batches at every call."""
        size = self.plan.config["batch_size"]
        order = np.random.default_rng([self.seed, 1]).permutation(len(self.train))[: CALIBRATION_BATCHES * size]
        return list(batches(self.train, order, size, self.device))
