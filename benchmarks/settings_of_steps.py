"""What the settings are worth that training and scoring use on this machine, each against its plain alternative.

Channels last in memory, fused optimisers, bfloat16, inference mode, the number of utterances scored at once; and
``torch.compile``, which trials do not use: with ``--compile`` its first step (the compilation) and its later steps. One
thread, resnet18 where nothing else is said. bfloat16 pays on CPUs with instructions for it only (AMX, AVX512-BF16).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from detector_steps import full
from timing import Timing, in_turn, table, timed
from trainables.models.architecture import Architecture

BATCHES = {"resnet18": (16, 32, 64, 128, 256), "grnn": (16, 32, 64, 128, 256), "wav2vec2": (1, 4, 8, 16)}
INPUTS = {"resnet18": (1, 64, 126), "grnn": (126, 20), "wav2vec2": (64000,)}


def main() -> None:
    """Measure and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    header = ("", "with, ms", "without, ms", "ratio")
    rows = [row for width in options.widths for row in training(width, options.rounds)]
    rows += [halved(model, options.rounds) for model in BATCHES]
    print(table(header, rows))
    for model, batches in BATCHES.items():
        print()
        print(table((f"{model}: scored at once", "ms an utterance"), scoring(model, batches, options.rounds)))
    if options.compile:
        print()
        print(table(("torch.compile, resnet18", "value"), compiled(options.widths[0], options.rounds)))


def training(width: int, rounds: int) -> list[tuple[object, ...]]:
    """Each setting with and without, at one width."""
    arch = Architecture.create("resnet18", {"width": width})
    batch = (torch.randn(32, 1, 64, 126), torch.arange(32) % 2, functional.cross_entropy)
    ours, contiguous, unfused = (full(arch, {}, *batch) for _ in range(3))
    contiguous.module.to(memory_format=torch.contiguous_format)
    unfused.optimizer = torch.optim.Adam(unfused.module.parameters(), lr=1e-4, fused=False)
    steps = in_turn({"ours": ours.run, "contiguous": contiguous.run, "unfused": unfused.run}, rounds)
    module = arch.build().eval()
    modes = in_turn({"inference": scorer(module, batch[0], True), "no_grad": scorer(module, batch[0], False)}, rounds)
    return [
        (f"width {width}, step: channels last", *_compared(steps["ours"], steps["contiguous"])),
        (f"width {width}, step: fused Adam", *_compared(steps["ours"], steps["unfused"])),
        (f"width {width}, scoring: inference mode, not no_grad", *_compared(modes["inference"], modes["no_grad"])),
    ]


def halved(model: str, rounds: int) -> tuple[object, ...]:
    """Steps in bfloat16 and in float32; wav2vec 2.0's begin behind its convolutions, which never train."""
    arch = Architecture.create(model, {"width": 16} if model == "resnet18" else {})
    size = 4 if model == "wav2vec2" else 32
    batch = (torch.randn(size, *INPUTS[model]), torch.arange(size) % 2, functional.cross_entropy)
    mixed, plain = (full(arch, {}, *batch, boundary=int(model == "wav2vec2")) for _ in range(2))
    forward = mixed.forward

    def autocast(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return forward(x).float()

    mixed.forward = autocast
    steps = in_turn({"bfloat16": mixed.run, "float32": plain.run}, rounds)
    return f"{model}, step: bfloat16", *_compared(steps["bfloat16"], steps["float32"])


def scorer(module: nn.Module, x: torch.Tensor, inference: bool) -> Callable[[], float]:
    """Scoring of a batch."""

    def run() -> None:
        with torch.inference_mode() if inference else torch.no_grad():
            module(x)

    return timed(run)


def scoring(model: str, batches: tuple[int, ...], rounds: int) -> list[tuple[object, ...]]:
    """Milliseconds an utterance by how many are scored at once."""
    arch = Architecture.create(model, {"width": 16} if model == "resnet18" else {})
    module = arch.build().eval()
    found = in_turn({str(n): scorer(module, torch.randn(n, *INPUTS[model]), True) for n in batches}, rounds)
    return [
        (f"{size} (ours)" if int(size) == arch.build().scoring_batch else size, f"{1e3 * t.median / int(size):.2f}")
        for size, t in found.items()
    ]


def compiled(width: int, rounds: int) -> list[tuple[object, ...]]:
    """What compilation costs, and what it saves a step."""
    arch = Architecture.create("resnet18", {"width": width})
    batch = (torch.randn(32, 1, 64, 126), torch.arange(32) % 2, functional.cross_entropy)
    plain, faster = full(arch, {}, *batch), full(arch, {}, *batch)
    faster.forward = torch.compile(faster.module)
    began = time.perf_counter()
    faster.run()
    first = time.perf_counter() - began
    found = in_turn({"plain": plain.run, "compiled": faster.run}, rounds)
    saved = found["plain"].median - found["compiled"].median
    pays = f"{first / saved:,.0f}" if saved > 0 else "never"
    return [
        (f"width {width}: first step, s", f"{first:.1f}"),
        ("a step compiled, ms", found["compiled"]),
        ("a step as it is, ms", found["plain"]),
        ("steps until compilation has paid", pays),
    ]


def _compared(ours: Timing, other: Timing) -> tuple[object, ...]:
    return ours, other, f"{ours.median / other.median:.3f}"


if __name__ == "__main__":
    main()
