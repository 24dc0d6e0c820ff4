"""Dropin training against a route without groups: dense layers, all gradients computed, those of old entries masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors import RandomSplit, architecture
from runs import execution, plan_config, run_all, watch
from trainables.trial.execution import Execution

State = Mapping[str, Tensor]


def train_masked(
    parameters: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    run: Execution,
) -> None:
    """Two epochs of two steps of Adam at 0.01, in the order that an execution of seed 0 draws."""
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-2)
    order = np.random.default_rng([0, 0])
    for _ in range(2):
        shuffled = order.permutation(16)
        for index in (shuffled[:8], shuffled[8:]):
            x, y = (torch.from_numpy(part[index]) for part in (run.train.features, run.train.labels))  # type: ignore[attr-defined]
            optimizer.zero_grad()
            loss(x, y).backward()
            for key, parameter in parameters.items():
                assert parameter.grad is not None
                parameter.grad *= masks[key]
            optimizer.step()


class HalfFrozenNorm(nn.Module):
    """BatchNorm by running statistics for the first `old` channels and by those of the batch for the others."""

    def __init__(self, old: int, width: int) -> None:
        super().__init__()
        self.old = old
        self.weight, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))
        self.register_buffer("running_mean", torch.empty(width))
        self.register_buffer("running_var", torch.empty(width))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.get_buffer("running_mean"), self.get_buffer("running_var")
        new = x[:, self.old :]
        batch_mean, batch_var = new.mean(dim=(0, 2, 3)), new.var(dim=(0, 2, 3), correction=0)
        used_mean = torch.cat([mean[: self.old], batch_mean])[:, None, None]
        used_var = torch.cat([var[: self.old], batch_var])[:, None, None]
        with torch.no_grad():
            mean[self.old :] += 0.1 * (batch_mean - mean[self.old :])
            var[self.old :] += 0.1 * (new.var(dim=(0, 2, 3), correction=1) - var[self.old :])
        standard = (x - used_mean) / torch.sqrt(used_var + 1e-5)
        return standard * self.weight[:, None, None] + self.bias[:, None, None]


def test_resnet18_with_its_new_channels_inside_the_old_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of 4 + 2, 8 + 3 and 32 + 2 channels; the norms that stay compute as in evaluation."""
    entries = watch(monkeypatch)
    old = {"layer1.0": 4, "layer2.1": 8, "layer4.0": 32}
    more = {"layer1.0": 2, "layer2.1": 3, "layer4.0": 2}
    run = execution(
        plan_config("dropin", 2, grow=more, train="new"), "resnet18", train=RandomSplit("resnet18", 16, seed=1)
    )
    run_all(run)

    def dense(state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The split state joined, and a mask with ones where something is new."""
        joined = {key: value for key, value in state.items() if ".parts.1." not in key}
        masks = {key: torch.zeros_like(value) for key, value in joined.items()}
        for key, value in state.items():
            if ".parts.1." in key and value.dim():
                target = key.replace(".parts.1.", ".parts.0.")
                axis = 1 if "conv2" in key else 0
                masks[target] = torch.cat([torch.zeros_like(joined[target]), torch.ones_like(value)], axis)
                joined[target] = torch.cat([joined[target], value], axis)
        return joined, masks

    module = architecture("resnet18").replace_widths({site: (old[site] + more[site],) for site in old}).build()
    for site in old:
        layer, block = site.split(".")
        part = module.get_submodule(f"{layer}.blocks.{block}.parts.0")
        part.bn1 = HalfFrozenNorm(old[site], old[site] + more[site])
    state, masks = dense(entries[0].state)
    module.load_state_dict(state)
    module.eval()
    parameters = dict(module.named_parameters())
    train_masked(parameters, masks, lambda x, y: functional.cross_entropy(module(x), y), run)

    expected = module.state_dict()
    found = dense(run.module.state_dict())[0]
    moved = 0
    for key, value in found.items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=1e-5)
            moved += not torch.equal(expected[key], state[key])
    assert moved == 3 * 6  # two convolutions and the norm's four tensors at each site


def test_grnn_as_cells_with_full_state_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of all groups side by side; what would let an old unit read a new one is zero and stays zero."""
    entries = watch(monkeypatch)
    old, more = {0: 6, 1: 5, 2: 4}, {0: 3, 2: 2}
    config = plan_config("dropin", 2, grow={f"gru.{i}": n for i, n in more.items()}, train="new")
    run = execution(config, train=RandomSplit("grnn", 16, seed=1))
    run_all(run)

    def dense(state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Per layer weights ``[gate, unit, input]``: on inputs, own states, old units' states."""
        tensors, masks = {}, {}
        for layer in range(3):
            units = [old[layer], more.get(layer, 0)]
            below = [old[layer - 1], more.get(layer - 1, 0)] if layer else [20, 0]
            height, width = sum(units), sum(below)
            shapes = {"ih": (3, height, width), "hh": (3, height, height), "beside": (3, height, height)}
            for name, shape in {**shapes, "bias_ih": (3, height), "bias_hh": (3, height)}.items():
                tensors[f"{layer}.{name}"] = torch.zeros(shape)
                masks[f"{layer}.{name}"] = torch.zeros(shape)

            def put(name: str, key: str, rows: slice, columns: slice | None, train: bool, layer: int = layer) -> None:
                place = (slice(None), rows) if columns is None else (slice(None), rows, columns)
                value = state[key]
                tensors[f"{layer}.{name}"][place] = value.view(3, -1, *value.shape[1:])
                masks[f"{layer}.{name}"][place] = float(train)

            for group, rows in enumerate((slice(0, units[0]), slice(units[0], height))):
                if group and not units[1]:
                    continue
                part = f"gru.{layer}.parts.{group}"
                put("ih", f"{part}.weight_ih.below0", rows, slice(0, below[0]), group == 1)
                if below[1]:
                    put("ih", f"{part}.weight_ih.below1", rows, slice(below[0], width), True)
                put("hh", f"{part}.weight_hh", rows, rows, group == 1)
                put("bias_ih", f"{part}.bias_ih", rows, None, group == 1)
                put("bias_hh", f"{part}.bias_hh", rows, None, group == 1)
                if group:
                    put("beside", f"{part}.weight_ih.beside0", rows, slice(0, units[0]), True)
        tensors["head"] = torch.cat([state["head.parts.0.weight"], state["head.parts.1.weight"]], 1)
        tensors["head.bias"] = state["head.bias"].clone()
        masks["head"] = torch.cat([torch.zeros(2, 4), torch.ones(2, 2)], 1)
        masks["head.bias"] = torch.zeros(2)
        return tensors, masks

    def loss(x: Tensor, y: Tensor) -> Tensor:
        for layer in range(3):
            own = {name.split(".")[1]: value for name, value in weights.items() if name.startswith(f"{layer}.")}
            state, states = torch.zeros(len(x), own["bias_ih"].shape[1]), []
            for time in range(x.shape[1]):
                given = torch.einsum("gui,bi->gbu", own["ih"], x[:, time]) + own["bias_ih"][:, None]
                given = given + torch.einsum("gui,bi->gbu", own["beside"], state)
                recalled = torch.einsum("gui,bi->gbu", own["hh"], state) + own["bias_hh"][:, None]
                reset, update = torch.sigmoid(given[0] + recalled[0]), torch.sigmoid(given[1] + recalled[1])
                candidate = torch.tanh(given[2] + reset * recalled[2])
                state = (1 - update) * candidate + update * state
                states.append(state)
            x = torch.stack(states, 1)
        logits = x[:, -1] @ weights["head"].T + weights["head.bias"]
        right, wrong = logits[range(len(y)), y], logits[range(len(y)), 1 - y]
        return (torch.clamp(1 - right + wrong, min=0) / 2).mean()

    start, masks = dense(entries[0].state)
    weights = {key: value.requires_grad_() for key, value in start.items()}
    train_masked(weights, masks, loss, run)

    found = dense(run.module.state_dict())[0]
    untrained = dense(entries[0].state)[0]
    for key, value in found.items():
        torch.testing.assert_close(value, weights[key].detach(), atol=1e-5, rtol=1e-5)
        assert torch.equal(value, untrained[key]) == (not masks[key].any()), key
