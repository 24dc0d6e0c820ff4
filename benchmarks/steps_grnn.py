"""What a training step of the gated recurrent detector costs, against loops over time and plain layers.

Cepstra 126 x 20, batch 32, one thread, layers of 64, 64, 32 and 32 units; grown by 64 units in the second layer.

- *loop of cells*: the same network as a Python loop over time of hand-written cells (two linear maps and the gates), as
  public code for growing recurrent networks has it; *loop of nn.GRUCell* the same with PyTorch's fused cell.
- *plain nn.GRU*: layers of the same total widths, not cut into groups.

Bars: a full step 0.5 of the loop's; a dropin step from activations 0.3 of the loop's full step of the grown network;
the grown network, all of it trained in its groups, 1.3 of plain nn.GRU layers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from detector_steps import ADAM, Step, dropin, full
from timing import in_turn, table, verdict
from trainables.models.architecture import Architecture
from trainables.models.grnn import COEFFICIENTS
from trainables.trial.optimizers import build_optimizer

BASE = (64, 64, 32, 32)
SITE, NEW = "gru.1", 64
GROWN = (64, 128, 32, 32)


class HandWrittenCell(nn.Module):
    """A gated recurrent unit in its textbook form (Cho et al., arXiv 1406.1078, in PyTorch's arrangement)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.hidden_size = units
        self.from_input = nn.Linear(inputs, 3 * units)
        self.from_state = nn.Linear(units, 3 * units)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """The next state ``[batch, units]``."""
        x_reset, x_update, x_new = self.from_input(x).chunk(3, dim=1)
        h_reset, h_update, h_new = self.from_state(state).chunk(3, dim=1)
        reset, update = torch.sigmoid(x_reset + h_reset), torch.sigmoid(x_update + h_update)
        new = torch.tanh(x_new + reset * h_new)
        return update * state + (1 - update) * new


class Loop(nn.Module):
    """Layers of cells, each driven through time by a Python loop."""

    def __init__(self, cell: Callable[[int, int], nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        inputs = (COEFFICIENTS, *widths)
        self.cells = nn.ModuleList(cell(below, units) for below, units in zip(inputs, widths, strict=False))
        self.head = nn.Linear(widths[-1], 2)
        self.widths = tuple(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for cell, units in zip(self.cells, self.widths, strict=True):
            state, states = x.new_zeros(len(x), units), []
            for moment in x.unbind(1):
                state = cell(moment, state)
                states.append(state)
            x = torch.stack(states, dim=1)
        logits: Tensor = self.head(x[:, -1])
        return logits


class Plain(nn.Module):
    """Layers of ``nn.GRU``."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        inputs = (COEFFICIENTS, *widths)
        self.layers = nn.ModuleList(
            nn.GRU(below, units, batch_first=True) for below, units in zip(inputs, widths, strict=False)
        )
        self.head = nn.Linear(widths[-1], 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for layer in self.layers:
            x, _ = layer(x)
        logits: Tensor = self.head(x[:, -1])
        return logits


def main() -> None:
    """Measure and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, labels = torch.randn(options.batch, 126, COEFFICIENTS), torch.arange(options.batch) % 2
    batch = (x, labels, functional.multi_margin_loss)

    def step(module: nn.Module) -> Step:
        return Step(module, *batch, module, build_optimizer(list(module.parameters()), ADAM))

    arch = Architecture.create("grnn", {"layers": list(BASE)})
    steps = {
        "full step, base: loop of cells": step(Loop(HandWrittenCell, BASE)),
        "full step, base: loop of nn.GRUCell": step(Loop(nn.GRUCell, BASE)),
        "full step, base: ours": full(arch, {}, *batch),
        "full step, grown: loop of cells": step(Loop(HandWrittenCell, GROWN)),
        "full step, grown: plain nn.GRU": step(Plain(GROWN)),
        "full step, grown: ours": full(arch, {SITE: NEW}, *batch),
        "dropin step: ours from the features": dropin(arch, {SITE: NEW}, *batch),
        "dropin step: ours from activations": dropin(arch, {SITE: NEW}, *batch, boundary=None),
    }
    found = in_turn({name: one.run for name, one in steps.items()}, options.rounds)
    print(table(("", "ms, median (range)"), list(found.items())))
    seconds = {name: timing.median for name, timing in found.items()}
    base, grown = seconds["full step, base: ours"], seconds["full step, grown: ours"]
    loop, kept = seconds["full step, grown: loop of cells"], seconds["dropin step: ours from activations"]
    print()
    base_loop = seconds["full step, base: loop of cells"]
    ratios = (
        ("full step of the base over the loop of cells", verdict(base / base_loop, 0.5)),
        ("the same over the loop of nn.GRUCell", f"{base / seconds['full step, base: loop of nn.GRUCell']:.3f}"),
        ("grown network over plain nn.GRU", verdict(grown / seconds["full step, grown: plain nn.GRU"], 1.3)),
        ("dropin step from activations over the loop's full step", verdict(kept / loop, 0.3)),
        ("the same over our own full step", f"{kept / grown:.3f}"),
    )
    print(table(("", "ratio"), ratios))


if __name__ == "__main__":
    main()
