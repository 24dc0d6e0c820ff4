"""What a training step of resnet18 costs when only new channels train, against full retraining of the same network.

A quarter of new channels in one block, 64 x 126 input, one thread. *backward* and *memory* compare steps that begin at
the features; *from activations* is the whole step, data excluded, that begins where something trains. Memory is the
peak of what tensors take during a step. Bars: backward 0.25 in layer3 and 0.20 in layer4; memory 0.5; whole step from
activations 0.35 at layer3, 0.25 and 0.12 at the first and second block of layer4.
"""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional

from detector_steps import dropin, full
from timing import Timing, in_turn, peak_bytes, table, verdict
from trainables.models.architecture import Architecture

BARS = {
    "layer3.0": (0.25, 0.35),
    "layer3.1": (0.25, 0.35),
    "layer4.0": (0.20, 0.25),
    "layer4.1": (0.20, 0.12),
}


def main() -> None:
    """Measure and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arch = Architecture.create("resnet18", {"width": options.width})
    batch = (torch.randn(options.batch, 1, 64, 126), torch.arange(options.batch) % 2, functional.cross_entropy)
    rows = []
    for site, (backward_bar, step_bar) in BARS.items():
        growth = {site: arch.total_widths()[site] // 4}
        whole = full(arch, growth, *batch)
        frozen, kept = dropin(arch, growth, *batch), dropin(arch, growth, *batch, boundary=None)
        backward = in_turn({"full": whole.run_backward, "frozen": frozen.run_backward}, options.rounds)
        steps = in_turn({"full": whole.run, "frozen": frozen.run, "kept": kept.run}, options.rounds)
        memory = [peak_bytes(step.run) for step in (whole, frozen, kept)]
        megabytes = [f"{taken / 1e6:.0f}" for taken in memory]
        rows += [
            (site, "backward", backward["full"], backward["frozen"], _ratio(backward, "frozen", backward_bar)),
            (site, "step from features", steps["full"], steps["frozen"], f"{_of(steps, 'frozen'):.3f}"),
            (site, "step from activations", steps["full"], steps["kept"], _ratio(steps, "kept", step_bar)),
            (site, "peak MB from features", *megabytes[:2], verdict(memory[1] / memory[0], 0.5)),
            (site, "peak MB from activations", *megabytes[::2], f"{memory[2] / memory[0]:.3f}"),
        ]
    print(table(("grown", "ms, median (range)", "full retraining", "new channels only", "ratio"), rows))


def _of(timings: dict[str, Timing], name: str) -> float:
    return timings[name].median / timings["full"].median


def _ratio(timings: dict[str, Timing], name: str, bar: float) -> str:
    return verdict(_of(timings, name), bar)


if __name__ == "__main__":
    main()
