"""Pruning a grown detector: the neurons that a criterion keeps, and the criterion that raises the dev EER least."""

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
from trainables.surgery.prune import prune
from trainables.trial.plan import Plan, Stage
from trainables.trial.training import Loss


@dataclass(frozen=True)
class UnprunedDetector:
    """A detector before a cut.

    Attributes:
        module, arch: the detector and its architecture.
        original: by site, which neurons the base had, bool ``[width]``.
        batches: returns the calibration batches (training data) of criteria.
        loss: mean loss of logits and labels, for criteria that need gradients.
    """

    module: Chain
    arch: Architecture
    original: Mapping[str, Tensor]
    batches: Callable[[], Sequence[tuple[Tensor, Tensor]]]
    loss: Loss

    def select_neurons(
        self, cut: Mapping[str, tuple[int, ...]], criterion: str, generator: torch.Generator
    ) -> dict[str, list[int]]:
        """Indices of the neurons that each cut site keeps: of every group as many as `cut` says."""
        rule = criteria.load(criterion)
        sites = {name: site for name, site in self.arch.sites().items() if name in cut}
        batches = self.batches() if rule.NEEDS_DATA else []
        values = rule.scores(criteria.Evidence(self.module.eval(), sites, self.original, batches, self.loss, generator))
        return {name: criteria.choose(values[name], self.arch.widths[name], cut[name]) for name in sites}

    def state(self) -> dict[str, Tensor]:
        """The state dict, on the CPU."""
        return {key: value.detach().cpu() for key, value in self.module.state_dict().items()}

    def best_plan(self, plan: Plan, stage: Stage, score: Callable[[Chain], np.ndarray], labels: np.ndarray) -> Plan:
        """The plan with the criterion of the lowest dev EER after the cut, without any training after it.

        The plan's own criterion and all that are searched are compared. Ties are broken by mean cross-entropy. A
        criterion is left out if its plan ends in another architecture: where groups of neurons cannot be merged, it may
        keep others of them.

        Args:
            plan: the trial's plan.
            stage: its first stage that cuts.
            score: returns the dev scores ``[n]`` of a detector.
            labels: of dev, ``[n]``, 1 for bona fide.
        """
        number, candidates = plan.stages.index(stage), []
        for criterion in dict.fromkeys((plan.config["criterion"], *criteria.searched())):
            other = Plan.from_config({**plan.config, "criterion": criterion}, plan.base)
            if other.final != plan.final or other.stages[number].cut != stage.cut:
                continue
            kept = self.select_neurons(stage.cut, criterion, torch.Generator().manual_seed(0))
            smaller, transfer = prune(self.arch, kept)
            module = smaller.build()
            module.load_state_dict(transfer.apply(self.state()))
            values = score(module)
            losses = np.logaddexp(0, np.where(labels == 1, -values, values))
            candidates.append((eer_of(values, labels)[0], float(losses.mean()), other))
        return min(candidates, key=lambda candidate: candidate[:2])[2]
