"""Criteria against values worked out by hand on a unit of three neurons."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.criteria import Evidence, activation, magnitude, taylor
from trainables.models.site import Group, Site, Slot, Tap

SITE = Site(
    "unit",
    "inner",
    0,
    (
        Group(
            3,
            (
                Slot("first.weight", 0, "producer"),
                Slot("first.bias", 0, "producer"),
                Slot("second.weight", 1, "consumer"),
            ),
            Tap("second", "input", -1),
        ),
    ),
)
WEIGHT = torch.tensor([[1.0, -1.0], [0.5, 0.0], [2.0, 2.0]])


class Unit(nn.Module):
    """Two inputs, three ReLU neurons, two logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(WEIGHT)
            self.first.bias.zero_()
            self.second.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.second(torch.relu(self.first(x)))
        return logits


def evidence(batches: list[tuple[Tensor, Tensor]]) -> Evidence:
    """For the unit, with the second logit as the loss."""
    original = {"unit": torch.ones(3, dtype=torch.bool)}
    return Evidence(
        Unit().eval(), {"unit": SITE}, original, batches, lambda out, _: out[:, 1].mean(), torch.Generator()
    )


BATCH = (torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))


def test_magnitude_is_the_mean_absolute_incoming_weight() -> None:
    assert magnitude.scores(evidence([]))["unit"].tolist() == [1.0, 0.25, 2.0]


def test_activation_is_the_mean_absolute_activation() -> None:
    # ReLU outputs: [1, .5, 2] for the first utterance, [0, 0, 2] for the second.
    torch.testing.assert_close(activation.scores(evidence([BATCH]))["unit"], torch.tensor([0.5, 0.25, 2.0]))


def test_taylor_is_the_squared_first_order_change() -> None:
    # The loss is linear in each active neuron, so gradient times weight is the neuron's share of the mean logit:
    # 1 * (1 + 0) / 2, 2 * (0.5 + 0) / 2 and 3 * (2 + 2) / 2.
    torch.testing.assert_close(taylor.scores(evidence([BATCH]))["unit"], torch.tensor([0.25, 0.25, 36.0]))


def test_taylor_averages_batches() -> None:
    single = [(BATCH[0][:1], BATCH[1][:1]), (BATCH[0][1:], BATCH[1][1:])]
    torch.testing.assert_close(taylor.scores(evidence(single))["unit"], torch.tensor([0.5, 0.5, 36.0]))
