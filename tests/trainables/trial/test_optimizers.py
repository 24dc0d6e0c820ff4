"""Which parameters train, by hand, and by what."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detectors import architecture
from trainables import models
from trainables.surgery.grow import grow
from trainables.trial.optimizers import build_optimizer, parameter_names


def test_names_by_hand() -> None:
    base = architecture("grnn")
    wider = grow(base, {"gru.1": 2})
    module = wider.build()
    part = "gru.1.parts.1"
    new = [f"{part}.{name}" for name in ("weight_hh", "bias_ih", "bias_hh", "weight_ih.below0", "weight_ih.beside0")]
    new.append("gru.2.parts.0.weight_ih.below1")
    assert set(parameter_names(module, wider, base, "new")) == set(new)
    assert set(parameter_names(module, wider, base, "new+head")) == {*new, "head.bias", "head.parts.0.weight"}
    assert parameter_names(module, wider, base, "all") == [name for name, _ in module.named_parameters()]


@pytest.mark.parametrize("model", models.NAMES)
def test_statistics_are_no_parameters_and_some_parameters_never_train(model: str) -> None:
    base = architecture(model)
    module = base.build()
    names = parameter_names(module, base, base, "all")
    frozen = tuple(getattr(models.load(model), "FROZEN", ()))
    assert names == [name for name, _ in module.named_parameters() if not name.startswith(frozen)]
    assert bool(frozen) == (len(names) < len(list(module.parameters())))
    assert parameter_names(module, base, base, "new") == []


def test_optimizers() -> None:
    parameter = nn.Parameter(torch.ones(2))
    for name, kind in {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.items():
        optimizer = build_optimizer([parameter], {"optimizer": name, "lr": 0.25, "weight_decay": 0.5})
        assert type(optimizer) is kind
        (group,) = optimizer.param_groups
        assert (group["lr"], group["weight_decay"], group["params"]) == (0.25, 0.5, [parameter])
