"""Where the weights of wav2vec 2.0 come from: saved folders, a hub's cache, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model
from transformers.utils import logging

from small_wav2vec2 import VARIANTS, saved, tiny, waveforms
from trainables.models import wav2vec2
from trainables.models.architecture import Architecture
from trainables.models.wav2vec2_checkpoint import TINY


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def no_bars() -> Iterator[None]:
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_checkpoint_gives_the_function_of_transformers(variant: str, tmp_path: Path) -> None:
    theirs = saved(tmp_path, {**TINY, **VARIANTS[variant]})
    arch = Architecture.create("wav2vec2", {"checkpoint": str(tmp_path)})
    ours = arch.build()
    state = wav2vec2.pretrained_state(arch.config)
    assert state is not None
    head = {key: tensor for key, tensor in theirs.state_dict().items() if not key.startswith("wav2vec2.")}
    ours.load_state_dict({**state, **head})
    with torch.no_grad():
        expected = theirs(waveforms()).logits
        torch.testing.assert_close(ours.eval()(waveforms()), expected, atol=1e-6, rtol=1e-6)
    assert expected.abs().min() > 0.01


def test_a_detector_is_rebuilt_without_its_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path, TINY)
    text = Architecture.create("wav2vec2", {"checkpoint": str(tmp_path)}).to_json()
    for file in tmp_path.iterdir():
        file.unlink()
    tmp_path.rmdir()
    assert Architecture.from_json(text).size() == tiny().size()


def test_random_configurations_have_no_pretrained_weights() -> None:
    assert wav2vec2.pretrained_state(tiny().config) is None


def test_a_cached_hub_model_is_used_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789" * 4
    model = tmp_path / "models--someone--voice"
    theirs = saved(model / "snapshots" / commit, TINY)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    config = wav2vec2.resolve({"checkpoint": "someone/voice"})
    assert (config["checkpoint"], config["revision"]) == ("someone/voice", commit)
    state = wav2vec2.pretrained_state(config)
    assert state is not None
    key = "wav2vec2.feature_projection.projection.weight"
    assert torch.equal(state[key], theirs.state_dict()[key])


def test_a_hub_model_that_cannot_be_had_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"needs a network; got 'someone/voice'. Download it"):
        wav2vec2.resolve({"checkpoint": "someone/voice"})


def test_changed_weights_are_noticed(tmp_path: Path) -> None:
    saved(tmp_path, TINY)
    config = wav2vec2.resolve({"checkpoint": str(tmp_path)})
    saved(tmp_path, TINY)
    with pytest.raises(ValueError, match="changed since"):
        wav2vec2.pretrained_state(config)


def test_weights_of_another_network_are_noticed(tmp_path: Path) -> None:
    saved(tmp_path, TINY)
    saved(tmp_path / "deeper", {**TINY, "num_hidden_layers": 4})
    (tmp_path / "deeper" / "config.json").replace(tmp_path / "config.json")
    config = wav2vec2.resolve({"checkpoint": str(tmp_path)})
    with pytest.raises(ValueError, match=r"lacks weights of the model: encoder.layers.3"):
        wav2vec2.pretrained_state(config)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "readable config.json"),
        ("[]", "model_type wav2vec2"),
        (json.dumps({"model_type": "hubert"}), "model_type wav2vec2"),
        (json.dumps({"model_type": "wav2vec2", "add_adapter": True}), "adapter layers"),
    ],
)
def test_unusable_folders_are_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold weights"):
        wav2vec2.resolve({"checkpoint": str(tmp_path)})
    Wav2Vec2Model(Wav2Vec2Config(**TINY)).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        wav2vec2.resolve({"checkpoint": str(tmp_path)})


def test_a_mark_at_the_beginning_of_the_configuration_is_read_over(tmp_path: Path) -> None:
    theirs = saved(tmp_path, TINY)
    settings = tmp_path / "config.json"
    settings.write_bytes(b"\xef\xbb\xbf" + settings.read_bytes())
    state = wav2vec2.pretrained_state(wav2vec2.resolve({"checkpoint": str(tmp_path)}))
    assert state is not None
    key = "wav2vec2.feature_projection.projection.weight"
    assert torch.equal(state[key], theirs.state_dict()[key])


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "config.json"])
def test_a_pointer_of_git_lfs_is_told_before_any_work(name: str, tmp_path: Path) -> None:
    saved(tmp_path, TINY)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 377607901\n")
    with pytest.raises(ValueError, match=r"pointer of Git LFS and not the file itself: run `git lfs pull`"):
        wav2vec2.resolve({"checkpoint": str(tmp_path)})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_model.h5", r"tf_model\.h5 has weights of TensorFlow: convert them by .*from_tf=True"),
        ("flax_model.msgpack", r"flax_model\.msgpack has weights of Flax: convert them by .*from_flax=True"),
        ("wav2vec_small.pt", r"wav2vec_small\.pt has weights of fairseq: convert them by .*convert_wav2vec2_original"),
    ],
)
def test_weights_of_other_libraries_are_told_with_what_converts_them(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(ValueError, match=message):
        wav2vec2.resolve({"checkpoint": str(tmp_path)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoint": "./nowhere"}, "folder that is not there"),
        ({"checkpoint": 3}, "checkpoint must be a text"),
        ({"revision": "abc"}, "revision is found out"),
        ({"depth": 3}, "no option depth"),
        ({"transformers": {"hidden_size": 32}}, "missing or unknown"),
        ({"transformers": {**TINY, "hidden_size": 30}}, "multiple of num_attention_heads"),
        ({"transformers": {**TINY, "num_hidden_layers": 0}}, "whole number from 1 to 256"),
        ({"transformers": {**TINY, "conv_dim": [16, 32]}}, "equally long"),
        ({"transformers": {**TINY, "conv_dim": 16}}, "list of at most 256 whole numbers"),
        ({"transformers": {**TINY, "conv_bias": 1}}, "true or false"),
        ({"transformers": {**TINY, "hidden_act": "loud"}}, "hidden_act must be one of"),
        ({"transformers": {**TINY, "hidden_dropout": 1.0}}, "from 0 to below 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wav2vec2.resolve(options)
