from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import project_file
from detectors import architecture, features, trained_like
from runs import plan_config, write_store
from trainables.features.store import open_split
from trainables.jobs import lora
from trainables.metrics.eer import eer_of
from trainables.storage.checkpoint import load_detector, save_detector
from trainables.trial import training
from trainables.trial.training import scores

MODELS = pytest.mark.parametrize("model", ["resnet18", "wav2vec2"])


@MODELS
def test_an_adapted_detector_is_the_base_at_first_and_its_merged_weights_do_what_it_does(model: str) -> None:
    arch, x = architecture(model), features(model)
    module, plain = trained_like(arch), trained_like(arch)
    expected = plain(x)
    adapted = lora.adapt(module.eval(), 2)
    torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=1e-4)
    names = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert all(".lora_" in name for name in names)
    assert lora.trainable_parameters(module) == sum(module.get_parameter(name).numel() for name in names)
    with torch.no_grad():
        for name in names:
            module.get_parameter(name).normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    before = module(x)
    state = lora.merged(adapted)
    assert torch.equal(module(x), before), "it can train on"
    assert list(state) == list(plain.state_dict())
    assert not any(value.requires_grad for value in state.values())
    plain.load_state_dict(state)
    assert not torch.allclose(plain(x), expected, atol=1e-4)
    torch.testing.assert_close(plain(x), before, atol=1e-4, rtol=1e-3)
    assert all(torch.equal(value, state[key]) for key, value in lora.merged(adapted).items())


@MODELS
def test_what_is_merged_is_twice_the_product_of_the_low_rank_matrices(model: str) -> None:
    """W + (alpha / r) B A, with alpha = 2 r; of a 3x3 convolution, A has the kernel and B is 1x1."""
    module, generator = trained_like(architecture(model)), torch.Generator().manual_seed(0)
    names, base = lora.target_modules(module), {key: value.clone() for key, value in module.state_dict().items()}
    adapted = lora.adapt(module, 3)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(0, 0.1, generator=generator)
    state = lora.merged(adapted)
    for name in names:
        layer: Any = module.get_submodule(name)
        a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
        assert a.shape[0] == b.shape[1] > 1
        product = (b.flatten(1) @ a.flatten(1)).view_as(base[f"{name}.weight"])
        torch.testing.assert_close(state[f"{name}.weight"], base[f"{name}.weight"] + 2 * product, atol=1e-5, rtol=1e-5)
    untouched = set(base) - {f"{name}.weight" for name in names}
    assert all(torch.equal(state[key], base[key]) for key in untouched)


@MODELS
@pytest.mark.parametrize("wanted", [1, 700, 2000])
def test_the_rank_is_the_one_whose_parameters_come_nearest(model: str, wanted: int) -> None:
    module = architecture(model).build()
    rank, counts = lora.nearest_rank(module, wanted), {}
    for one in {max(1, rank - 1), rank, rank + 1}:
        module = architecture(model).build()
        lora.adapt(module, one)
        counts[one] = lora.trainable_parameters(module)
    assert min(counts, key=lambda one: abs(counts[one] - wanted)) == rank


@MODELS
def test_the_rank_is_capped_where_the_layers_themselves_are_smaller(model: str) -> None:
    module = architecture(model).build()
    layers = [module.get_parameter(f"{name}.weight").numel() for name in lora.target_modules(module)]
    rank = lora.nearest_rank(module, 10**9)
    lora.adapt(module, rank)
    assert lora.trainable_parameters(module) <= sum(layers)
    assert lora.trainable_parameters(module) / rank > sum(layers) - lora.trainable_parameters(module)


def test_it_trains_and_leaves_a_detector_of_the_bases_size(tmp_path: Path) -> None:
    arch, store = architecture("resnet18"), write_store(tmp_path / "features", "resnet18", train=12, dev=10)
    card = {"front_end": "log_mel", "seconds": 4.0, "eer_dev": 0.5, "threshold": 0.0}
    save_detector(tmp_path / "base", arch, trained_like(arch).state_dict(), card)
    plan = plan_config("dropin", 3, grow={"layer4.1": 4}, train="new")
    settings: dict[str, Any] = {"features": store, "plan": plan, "parameters": 500, "seed": 1, "gpu": False}
    rows = list(lora.train(tmp_path / "base", folder=tmp_path / "lora", **settings))
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    found = load_detector(tmp_path / "lora")
    assert found.arch == arch
    assert found.card["eer_dev"] == min(row["eer"] for row in rows)
    dev = open_split(store, "dev")
    assert eer_of(scores(found.module, dev), dev.labels)[0] == pytest.approx(found.card["eer_dev"], abs=0.1)
    again = list(lora.train(tmp_path / "base", folder=tmp_path / "again", **settings))
    assert [row["eer"] for row in again] == [row["eer"] for row in rows]
    assert found.card["trainable_parameters"] == rows[0]["trainable_parameters"]
    assert found.card["lora_rank"] == lora.nearest_rank(arch.build(), 500)


def test_it_trains_on_random_windows_where_the_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arch, store = architecture("resnet18"), write_store(tmp_path / "features", "resnet18", train=6, dev=6)
    card = {"front_end": "log_mel", "seconds": 4.0, "eer_dev": 0.5, "threshold": 0.0}
    save_detector(tmp_path / "base", arch, trained_like(arch).state_dict(), card)
    plan, seen = plan_config("dropin", 1, grow={"layer4.1": 4}, train="new"), []

    def watched(*given: Any, random_crop: bool = False, **named: Any) -> Any:
        seen.append(random_crop)
        return training.train_epoch(*given, random_crop=False, **named)

    monkeypatch.setattr(lora, "train_epoch", watched)
    for crop in (True, False):
        list(
            lora.train(
                tmp_path / "base", features=store, plan=plan, parameters=500, seed=1, gpu=False,
                folder=tmp_path / f"lora-{crop}", random_crop=crop,
            )
        )  # fmt: skip
    assert seen == [True, False]


def test_recurrent_detectors_are_left_out() -> None:
    with pytest.raises(ValueError, match="attention and convolutions"):
        lora.adapt(architecture("grnn").build(), 100)


def test_peft_is_imported_only_when_needed() -> None:
    code = "import sys; from trainables import base; from trainables.jobs import lora; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=project_file.ROOT).returncode == 0
