"""What a training step of wav2vec 2.0 costs when its convolutions are computed once, and against LoRA.

The paper's random network (12 layers, hidden 256, 4 heads, 512 feed-forward neurons), 4 s of audio, one thread.

- *full*: everything trains, from the waveform. *full, convolutions frozen*: as the paper does it, computed in every
  step, or *kept*.
- *dropin*: new feed-forward neurons in the upper six layers, all that trains; 16 a layer have as many parameters as
  LoRA.
- *LoRA*: ``peft``, r = 8, alpha = 16, on the query and value projections of the same layers. Both start from the same
  kept activations, those below the first of these layers (dropin could start half a layer later: *dropin, own*).

Bars: dropin 0.06 of a full step; time and peak memory 1.0 of LoRA's.
"""

from __future__ import annotations

import argparse

import peft
import torch
from torch import Tensor
from torch.nn import functional

from detector_steps import ADAM, Loss, Step, dropin, entering, full
from timing import in_turn, peak_bytes, table, verdict
from trainables.models.architecture import Architecture
from trainables.surgery.freeze import training_mode
from trainables.trial.optimizers import build_optimizer

NEURONS = 16


def main() -> None:
    """Measure and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arch = Architecture.create("wav2vec2", {"checkpoint": "small"})
    layers = arch.config["transformers"]["num_hidden_layers"]
    upper = range(layers // 2, layers)
    boundary = 2 + 2 * upper[0]  # convolutions, projection, two halves a layer
    labels = torch.arange(options.batch) % 2
    batch = (torch.randn(options.batch, 64000), labels, functional.cross_entropy)
    growth = {f"encoder.{layer}.ff": NEURONS for layer in upper}
    steps = {
        "full": everything(arch, *batch),
        "full, convolutions frozen": full(arch, {}, *batch),
        "full, convolutions kept": full(arch, {}, *batch, boundary=1),
        "dropin": dropin(arch, growth, *batch, boundary=boundary),
        "dropin, own": dropin(arch, growth, *batch, boundary=None),
        "LoRA": lora(arch, list(upper), boundary, *batch),
    }
    few = {name: step.run for name, step in steps.items() if not name.startswith("full")}
    found = in_turn({name: step.run for name, step in steps.items()}, options.rounds)
    found |= in_turn(few, 5 * options.rounds)  # short ones: more rounds
    memory = {name: peak_bytes(step.run) for name, step in steps.items()}
    trained = {
        name: sum(parameter.numel() for group in step.optimizer.param_groups for parameter in group["params"])
        for name, step in steps.items()
    }
    rows = [(name, f"{trained[name]:,}", found[name], f"{memory[name] / 1e6:.1f}") for name in steps]
    print(table(("step", "parameters trained", "ms, median (range)", "peak MB"), rows))
    print()
    time = {name: timing.median for name, timing in found.items()}
    frozen = time["full, convolutions frozen"]
    ratios = (
        ("full, convolutions kept, over frozen", f"{time['full, convolutions kept'] / frozen:.3f}"),
        ("dropin over full", verdict(time["dropin"] / time["full"], 0.06)),
        ("dropin over full, convolutions frozen", f"{time['dropin'] / frozen:.3f}"),
        ("dropin over LoRA, time", verdict(time["dropin"] / time["LoRA"], 1.0)),
        ("dropin over LoRA, memory", verdict(memory["dropin"] / memory["LoRA"], 1.0)),
        ("dropin from its own boundary over LoRA, time", f"{time['dropin, own'] / time['LoRA']:.3f}"),
    )
    print(table(("", "ratio"), ratios))


def everything(arch: Architecture, x: Tensor, labels: Tensor, loss: Loss) -> Step:
    """Full retraining that spares nothing."""
    module = arch.build()
    parameters = [p for name, p in module.named_parameters() if not name.endswith("masked_spec_embed")]
    for parameter in parameters:
        parameter.requires_grad_(True)
    return Step(module, x, labels, loss, module, build_optimizer(parameters, ADAM))


def lora(arch: Architecture, layers: list[int], boundary: int, x: Tensor, labels: Tensor, loss: Loss) -> Step:
    """LoRA on queries and values of these layers, everything else frozen."""
    module = arch.build()
    settings = peft.LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], layers_to_transform=layers, layers_pattern="layers"
    )
    peft.inject_adapter_in_model(settings, module)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    training_mode(module)
    rows, forward = entering(module, x, boundary)
    return Step(module, rows, labels, loss, forward, build_optimizer(parameters, ADAM))


if __name__ == "__main__":
    main()
