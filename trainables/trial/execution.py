"""Carrying a plan out, epoch by epoch: growth and cuts between stages, training within them. No Ray.

Everything that decides the rest of the run is in the saved state, so a loaded execution goes on exactly.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables import models
from trainables.errors import DropinError
from trainables.features.batches import batches
from trainables.features.split import Split
from trainables.metrics.eer import between, eer_of
from trainables.metrics.interval import eer_interval
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.storage.activations import ActivationCache, StepInputs
from trainables.storage.checkpoint import Detector
from trainables.surgery import moments as adam
from trainables.surgery.freeze import freeze
from trainables.surgery.keep import keep
from trainables.surgery.merge import merge
from trainables.trial.cutting import Grown
from trainables.trial.growing import grown
from trainables.trial.growth_cache import GrowthCache
from trainables.trial.optimizers import build_optimizer, parameter_names
from trainables.trial.plan import Plan, Stage
from trainables.trial.state import TrialState, restore_rng_state
from trainables.trial.training import LOSSES, scores, train_epoch, use_bf16_autocast

SIGNAL_BATCHES = 4
"""Training batches that growth rules and criteria look at."""


class Execution:
    """A plan under way.

    Attributes:
        epoch: epochs done.
        best: state dict of the finished detector at its best dev EER since the last change of structure, or ``None``.
        best_eer: that EER; ``best_threshold``, ``best_epoch``, ``best_interval`` belong to it.
        from_growth_cache: whether it went on from a kept stage instead of the base.
        seconds: time spent so far, by what on: structure (growth, cuts, what they look at), activations, training,
            scoring, kept stages.
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
            plan: what to do.
            base: the detector to start from.
            train, dev: features of the splits.
            seed: of order, growth and dropout.
            device: where to train.
            random_crop: train on random windows; the activations of frozen links are then not kept.
            precision: of steps, as `trainables.trial.training.use_bf16_autocast` takes it.
            activations: where outputs of frozen links are kept; without it every step begins at the features.
            growth_cache: where states before the first cut are kept; the plan goes on from its own, if it is there.
            choose_criterion: at the first cut try all criteria that end in the same architecture, without training, and
                go on with the one that leaves the lowest dev EER; `plan` is then the plan with that criterion.

        Raises:
            DropinError: the plan was made for another architecture than the base's.
        """
        if plan.base != base.arch:
            raise DropinError("the plan was made for another base: parse it with this base's architecture")
        self.plan, self.seed, self.device = plan, seed, device
        self.train, self.dev, self.random_crop = train, dev, random_crop
        self.mixed = use_bf16_autocast(precision, device, base.module)
        self.activations, self.check = None if random_crop else activations, base.module
        self.feed = StepInputs(train, dev)
        self.loss = LOSSES[models.load(base.arch.model).RECIPE["loss"]]
        self.rates, self.starts = plan.learning_rates(), plan.starts
        self.growth_cache, self.choose_criterion = growth_cache, choose_criterion
        self.order = np.random.default_rng([seed, 0])
        torch.manual_seed(seed)

        self.seconds = dict.fromkeys(("structure", "activations", "training", "scoring", "kept stages"), 0.0)
        self.epoch, self.from_growth_cache = 0, False
        self.best: dict[str, Tensor] | None = None
        self.best_eer, self.best_threshold, self.best_epoch = 1.0, 0.0, 0
        self.best_interval = (0.0, 1.0)
        # A kept stage has what every plan needs that goes on from it, rewinding ones among them.
        rewinds = plan.config["after"] == "rewind_weights" or (growth_cache is not None and bool(plan.first_cut))
        self.snapshot: dict[str, Tensor] | None = dict(base.module.state_dict()) if rewinds else None
        self.original = {n: torch.ones(w, dtype=torch.bool) for n, w in base.arch.total_widths().items()}
        self._install(base.arch, base.module.state_dict())
        if growth_cache is not None and (place := growth_cache.find(plan)) is not None:
            try:
                self._set(*TrialState.read(place))
                self.from_growth_cache = True
            except ValueError:
                growth_cache.forget(plan)

    def run_epoch(self) -> dict[str, Any]:
        """Do one epoch and score dev.

        Returns:
            stage, loss (training), eer, threshold, trainable_parameters, cached_links (how many links the epoch did not
            have to compute), seconds_forward, seconds_backward, seconds_step, seconds_data.

        Raises:
            Diverged: loss or scores are no longer numbers.
        """
        assert self.epoch < self.plan.epochs, "all epochs are done"
        number = self._stage_number(self.epoch)
        stage = self.plan.stages[number]
        if self.epoch == self.starts[number]:
            if self.growth_cache is not None and self.epoch == self.plan.first_cut:
                with self._timed("kept stages"):
                    self.growth_cache.keep(self.plan, self.save)
            with self._timed("structure"):
                self._enter(stage, number)
            with self._timed("activations"):
                self._feed()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rates[self.epoch]
        with self._timed("training"):
            settings = {"batch_size": self.plan.config["batch_size"], "clip": self.plan.config["clip"]}
            settings |= {"device": self.device, "random_crop": self.random_crop, "mixed": self.mixed}
            forward = partial(self.feed.forward, self.module)
            what = (self.module, self.feed.train, self.optimizer, self.loss)
            cost = train_epoch(*what, order=self.order, forward=forward, **settings)
        found = self._scores(self.module)
        eer, threshold = eer_of(found, self.dev.labels)
        if self.epoch >= self.plan.last_change and (self.best is None or eer < self.best_eer):
            transfer = merge(self.arch)[1]
            self.best = transfer.apply({key: value.detach().cpu() for key, value in self.module.state_dict().items()})
            self.best_eer, self.best_threshold, self.best_epoch = eer, between(found, threshold), self.epoch + 1
            self.best_interval = eer_interval(found, self.dev.labels)
        self.epoch += 1
        return {
            "stage": stage.name,
            **asdict(cost),
            "eer": eer,
            "threshold": threshold,
            "trainable_parameters": sum(p.numel() for p in self.module.parameters() if p.requires_grad),
            "cached_links": self.feed.boundary,
        }

    def save(self, folder: Path) -> None:
        """Write the state into `folder`, which exists."""
        facts = {
            "plan": dict(self.plan.config),
            "epoch": self.epoch,
            "seed": self.seed,
            "best": [self.best_eer, self.best_threshold, self.best_epoch, *self.best_interval],
            "order": self.order.bit_generator.state,
            "from_growth_cache": self.from_growth_cache,
        }
        moments = adam.collect(self.optimizer, self.module) if self.epoch else {}
        model = self.module.state_dict()
        state = TrialState(self.arch, model, moments, self.best, self.snapshot, self.original, facts)
        state.write(folder, self.device)

    def load(self, folder: Path) -> None:
        """Go on from a saved state.

        Raises:
            DropinError: damaged, or of another plan or seed.
        """
        state, chance = TrialState.read(folder)
        plan = self.plan
        if self.choose_criterion:
            plan = Plan.from_config({**plan.config, "criterion": state.facts["plan"]["criterion"]}, plan.base)
        if state.facts["plan"] != json.loads(json.dumps(dict(plan.config))) or state.facts["seed"] != self.seed:
            raise DropinError(f"{folder} is a checkpoint of another plan or seed")
        self.plan = plan
        self._set(state, chance)
        # A trial that is tried again may have found the stage that it had kept itself; what it did at first counts.
        self.from_growth_cache = state.facts["from_growth_cache"]

    def _set(self, state: TrialState, chance: Mapping[str, Tensor]) -> None:
        self.epoch = state.facts["epoch"]
        self.best_eer, self.best_threshold, self.best_epoch, *interval = state.facts["best"]
        self.best_interval = (interval[0], interval[1])
        self.best = None if state.best is None else dict(state.best)
        self.snapshot = None if state.snapshot is None else dict(state.snapshot)
        self.order.bit_generator.state = state.facts["order"]
        self.original = dict(state.original)
        self._install(state.arch, state.model)
        if self.epoch:
            self._make_optimizer(self.plan.stages[self._stage_number(self.epoch - 1)])
            self._feed()
            adam.restore(self.optimizer, self.module, state.moments)
        restore_rng_state(chance, self.device)

    def _scores(self, module: Chain) -> np.ndarray:
        """Of dev, by the live detector or one with the same frozen links."""
        forward, size = partial(self.feed.forward, module.to(self.device)), module.scoring_batch
        with self._timed("scoring"):
            return scores(module, self.feed.dev, batch_size=size, device=self.device, forward=forward)

    def _stage_number(self, epoch: int) -> int:
        return int(np.searchsorted(self.starts, epoch, side="right")) - 1

    def _install(self, arch: Architecture, state: Mapping[str, Tensor]) -> None:
        """Make `arch` with these weights the live detector."""
        module = arch.build()
        module.load_state_dict(state)
        self.arch, self.module = arch, module.to(self.device)

    def _make_optimizer(self, stage: Stage) -> None:
        names = parameter_names(self.module, self.arch, self.plan.base, stage.trainable)
        parameters = freeze(self.module, names)
        self.optimizer = build_optimizer(parameters, self.plan.config)

    def _feed(self) -> None:
        """Begin steps where something trains."""
        if self.activations is not None:
            what = (self.module, self.arch, self.train, self.dev)
            self.feed = self.activations.step_inputs(*what, device=self.device, reference=self.check)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        """Count the time within as spent on this, but for what is counted as something else meanwhile."""
        began, before = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            meanwhile = sum(self.seconds.values()) - before
            self.seconds[what] += time.perf_counter() - began - meanwhile

    def _enter(self, stage: Stage, number: int) -> None:
        """Grow or cut, then set up what trains."""
        kept = adam.collect(self.optimizer, self.module) if self.epoch else {}
        generator = torch.Generator().manual_seed(self.seed * 1009 + number)
        if stage.grow:
            kept = self._grow(stage, generator, kept)
        if stage.cut:
            kept = self._cut(stage, generator, kept)
        if stage.rewind:
            assert self.snapshot is not None, "a plan that rewinds takes one at its start"
            self._install(self.arch, self.snapshot)
        assert self.arch.widths == stage.arch.widths, "the plan foresaw another architecture"
        self._make_optimizer(stage)
        if not stage.fresh_optimizer:
            adam.restore(self.optimizer, self.module, kept)

    def _grow(self, stage: Stage, generator: torch.Generator, kept: adam.Moments) -> adam.Moments:
        rule, seed, evidence = self.plan.config["rule"], self.seed * 1009 + 503, self._evidence_batches
        wider, state = grown(
            self.module, self.arch, stage.grow, rule, seed=seed, generator=generator, batches=evidence, loss=self.loss
        )
        for name, count in stage.grow.items():
            self.original[name] = torch.cat([self.original[name], torch.zeros(count, dtype=torch.bool)])
        if stage.merged:
            merged, transfer = merge(wider)
            kept = adam.carry(kept, transfer, {key: value.shape for key, value in state.items()})
            wider, state = merged, transfer.apply(state)
        if self.snapshot is not None:
            self.snapshot = {key: value.clone() for key, value in state.items()}
        self._install(wider, state)
        return kept

    def _cut(self, stage: Stage, generator: torch.Generator, kept: adam.Moments) -> adam.Moments:
        before = Grown(self.module, self.arch, self.original, self._evidence_batches, self.loss)
        if self.choose_criterion and self.epoch == self.plan.first_cut:
            self.plan = before.best_plan(self.plan, stage, self._scores, self.dev.labels)
        chosen = before.select_neurons(stage.cut, self.plan.config["criterion"], generator)
        smaller, transfer = keep(self.arch, chosen)
        for name, index in chosen.items():
            self.original[name] = self.original[name][torch.tensor(index, dtype=torch.long)]
        state = before.state()
        kept = adam.carry(kept, transfer, {key: value.shape for key, value in state.items()})
        if self.snapshot is not None:
            self.snapshot = transfer.apply(self.snapshot)
        self._install(smaller, transfer.apply(state))
        return kept

    def _evidence_batches(self) -> list[tuple[Tensor, Tensor]]:
        """The same few training batches whenever they are asked for."""
        size = self.plan.config["batch_size"]
        order = np.random.default_rng([self.seed, 1]).permutation(len(self.train))[: SIGNAL_BATCHES * size]
        return list(batches(self.train, order, size, self.device))
