"""Cutting a grown detector: which neurons are kept by a criterion, and which criterion costs least."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables import criteria
from trainables.metrics.eer import eer_of
from trainables.models.architecture import Architecture
from trainables.models.chain import Chain
from trainables.surgery.keep import keep
from trainables.trial.plan import Plan, Stage
from trainables.trial.training import Loss


@dataclass(frozen=True)
class Grown:
    """A detector before a cut.

    Attributes:
        module, arch: it and its architecture.
        original: by site, which neurons the base had.
        batches: gives the training batches that criteria look at.
        loss: what these measure.
    """

    module: Chain
    arch: Architecture
    original: Mapping[str, Tensor]
    batches: Callable[[], Sequence[tuple[Tensor, Tensor]]]
    loss: Loss

    def select_neurons(
        self, cut: Mapping[str, tuple[int, ...]], criterion: str, generator: torch.Generator
    ) -> dict[str, list[int]]:
        """The neurons of each cut site that stay, of every group as many as `cut` says."""
        file = criteria.load(criterion)
        sites = {name: site for name, site in self.arch.sites().items() if name in cut}
        batches = self.batches() if file.NEEDS_DATA else []
        found = file.scores(criteria.Evidence(self.module.eval(), sites, self.original, batches, self.loss, generator))
        return {name: criteria.choose(found[name], self.arch.widths[name], cut[name]) for name in sites}

    def state(self) -> dict[str, Tensor]:
        """The state dict, on the CPU."""
        return {key: value.detach().cpu() for key, value in self.module.state_dict().items()}

    def best_plan(self, plan: Plan, stage: Stage, scored: Callable[[Chain], np.ndarray], labels: np.ndarray) -> Plan:
        """The plan with the criterion that leaves the lowest dev EER before anything is trained again.

        The plan's own criterion and all that are searched are tried. Of equal EERs the lower mean cross-entropy counts.
        Only criteria are tried by which the plan ends as large as was foreseen: where groups of neurons cannot be
        joined, a criterion may leave others.

        Args:
            plan: the plan that led here.
            stage: its first one that cuts.
            scored: gives the dev scores ``[n]`` of a detector.
            labels: of dev, ``[n]``, 1 for bona fide.
        """
        number, found = plan.stages.index(stage), []
        for criterion in dict.fromkeys((plan.config["criterion"], *criteria.searched())):
            other = Plan.from_config({**plan.config, "criterion": criterion}, plan.base)
            if other.final != plan.final or other.stages[number].cut != stage.cut:
                continue
            chosen = self.select_neurons(stage.cut, criterion, torch.Generator().manual_seed(0))
            smaller, transfer = keep(self.arch, chosen)
            module = smaller.build()
            module.load_state_dict(transfer.apply(self.state()))
            values = scored(module)
            losses = np.logaddexp(0, np.where(labels == 1, -values, values))
            found.append((eer_of(values, labels)[0], float(losses.mean()), other))
        return min(found, key=lambda one: one[:2])[2]
