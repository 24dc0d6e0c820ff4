"""Detectors and checkpoints from others: whatever they hold, there is a detector or a ValueError, and no harm."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_checkpoint import CARD, FILES, Bomb, rewrite, save, sign
from transformers import Wav2Vec2Config

from detectors import architecture, trained_like
from mutations import DEEP, damaged, mutated, outcome
from trainables import models
from trainables.models import wav2vec2, wav2vec2_checkpoint
from trainables.models.architecture import Architecture
from trainables.models.bounds import MOST_GROUPS, MOST_LAYERS, MOST_NEURONS
from trainables.storage.checkpoint import load_detector, save_detector

DOCUMENTS: dict[str, dict[str, Any]] = {name: json.loads(architecture(name).to_json()) for name in models.NAMES}


def changed(model: str, *path: str, to: object) -> dict[str, Any]:
    """A model's architecture as JSON has it, with one entry changed."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENTS[model]))
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = to
    return document


HOSTILE: dict[str, dict[str, Any]] = {
    **{
        f"gru.0 of {str(groups)[:20]}": changed("grnn", "widths", "gru.0", to=groups)
        for groups in (
            *([-6], [0], [True], [6.0], ["6"], [None], [[6]], [], 6, None, "66", {"6": 6}, [10**12], [10**400]),
            *([MOST_NEURONS + 1], [1] * (MOST_GROUPS + 1), [float("inf")], [float("nan")]),
        )
    },
    **{
        f"layers {str(layers)[:20]}": changed("grnn", "config", "layers", to=layers)
        for layers in ([], [0], [True], [10**12], [4] * (MOST_LAYERS + 1), 4, "444", None, {"4": 4})
    },
    **{
        f"width {str(width)[:20]}": changed("resnet18", "config", "width", to=width)
        for width in (-4, 3, True, 4.0, "4", None, 10**12, 10**400, MOST_NEURONS)
    },
    "branch beyond its limit": changed("resnet18", "widths", "layer2.branch", to=[9]),
    "two branches": changed("wav2vec2", "widths", "encoder.0.branch", to=[1, 1]),
    **{
        f"{field} {str(value)[:20]}": changed("wav2vec2", "config", "transformers", field, to=value)
        for field, value in (
            *(("num_hidden_layers", 10**9), ("hidden_size", 10**12), ("hidden_size", -4), ("conv_dim", [10**12] * 3)),
            *(("conv_dim", [1] * 10**5), ("conv_kernel", [1.0] * 3), ("num_attention_heads", True)),
            *(("intermediate_size", float("inf")), ("hidden_dropout", 10**400), ("hidden_act", ["gelu"])),
        )
    },
    "transformers a list": changed("wav2vec2", "config", "transformers", to=["hidden_size"]),
    "config a list": {**DOCUMENTS["grnn"], "config": ["layers"]},
    "widths a list": {**DOCUMENTS["grnn"], "widths": []},
    "model a list": {**DOCUMENTS["grnn"], "model": ["grnn"]},
    "model a path": {**DOCUMENTS["grnn"], "model": "../../os"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_architectures_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Architecture.from_json(json.dumps(HOSTILE[name]))


@pytest.mark.parametrize("text", ["", "[]", "3", "null", DEEP.decode(), '{"a":' * 50_000, "1" * 5000])
def test_what_is_no_architecture_at_all(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Architecture.from_json(text)


@pytest.mark.parametrize(
    "config",
    [
        {"checkpoint": "somebody/model"},
        {"checkpoint": "somebody/model", "revision": "", "transformers": None},
        {"checkpoint": "/etc", "revision": ""},
    ],
)
def test_no_architecture_makes_us_look_elsewhere(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(wav2vec2_checkpoint, "hf_hub_download", lambda *what: asked.append(what))
    monkeypatch.setattr(wav2vec2_checkpoint, "_digest", asked.append)
    with pytest.raises(ValueError, match="config must be complete"):
        Architecture.from_json(json.dumps({**DOCUMENTS["wav2vec2"], "config": config}))
    assert not asked


@pytest.mark.parametrize(
    "document",
    [
        {"model": "resnet18", "config": {"width": 4000}, "widths": None},
        {"model": "grnn", "config": {"layers": [MOST_NEURONS, 5, 4]}, "widths": None},
        {"model": "grnn", "config": {"layers": [6, 5, 4]}, "widths": {"gru.0": [6, 9], "gru.1": [5], "gru.2": [4]}},
    ],
)
def test_weights_that_do_not_fit_are_refused_before_memory_is_taken(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if document["widths"] is None:
        document = json.loads(Architecture.create(document["model"], document["config"]).to_json())
    save(tmp_path / "one")
    rewrite(tmp_path / "one", {"architecture": document})
    real = Architecture.build

    def build(self: Architecture) -> Any:
        assert torch.get_default_device().type == "meta"
        return real(self)

    monkeypatch.setattr(Architecture, "build", build)
    with pytest.raises(ValueError, match="weights must have the names and shapes of their architecture"):
        load_detector(tmp_path / "one")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_a_link_or_a_pipe_is_refused(name: str, tmp_path: Path) -> None:
    save(tmp_path / "one")
    path = tmp_path / "one" / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"^{path} .* it is a link: replace it by the file"):
        load_detector(tmp_path / "one")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"^{path} .* it is not a regular file"):
        load_detector(tmp_path / "one")
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=f"^{path} "):
        load_detector(tmp_path / "one")


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    save(tmp_path / "one")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert load_detector(tmp_path / "two").card == CARD


def tensors(header: object, length: int | None = None, data: bytes = b"") -> bytes:
    """A safetensors file with this header, which may lie about its length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        tensors({}, 2**63),
        tensors({}, 2**40),
        tensors({}, 99_999_999),
        tensors(DEEP),
        tensors({"a": {**ONE, "shape": [2**40, 2**40]}}, data=b"0000"),
        tensors({"a": {**ONE, "shape": [-1]}}, data=b"0000"),
        tensors({"a": {**ONE, "data_offsets": [0, 2**60]}}, data=b"0000"),
        tensors({"a": {**ONE, "data_offsets": [4, 0]}}, data=b"0000"),
        tensors({"a": {**ONE, "dtype": "F128"}}, data=b"0000"),
        tensors({"a": ONE, "b": ONE}, data=b"0000"),
        tensors({"a": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}}),
        tensors({"__metadata__": {"format": "pt"}}),
    ],
)
def test_hostile_weights_are_refused(content: bytes, tmp_path: Path) -> None:
    save(tmp_path / "one")
    (tmp_path / "one" / FILES[0]).write_bytes(content)
    sign(tmp_path / "one")
    with pytest.raises(ValueError, match=r"."):
        load_detector(tmp_path / "one")


@pytest.mark.parametrize("name", FILES[1:])
def test_json_without_an_end_is_refused(name: str, tmp_path: Path) -> None:
    save(tmp_path / "one")
    (tmp_path / "one" / name).write_bytes(b'{"a":' * 50_000)
    if name != "digest.json":
        sign(tmp_path / "one")
    with pytest.raises(ValueError, match=f"^{tmp_path / 'one' / name} must be JSON"):
        load_detector(tmp_path / "one")


@pytest.mark.parametrize("by", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_no_checkpoint_of_wav2vec2_is_unpickled(by: Any, tmp_path: Path) -> None:
    trace, folder = tmp_path / "trace", tmp_path / "checkpoint"
    Wav2Vec2Config(**wav2vec2_checkpoint.TINY).save_pretrained(folder)
    by({"feature_projection.projection.bias": Bomb(trace)}, folder / "pytorch_model.bin")
    config = Architecture.create("wav2vec2", {"checkpoint": str(folder)}).config
    with pytest.raises(ValueError, match="cannot load the weights"):
        wav2vec2.pretrained_state(config)
    assert not trace.exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A detector of every model, whose files the tests below overwrite and put back."""
    folder = tmp_path_factory.mktemp("saved")
    for model in models.NAMES:
        arch = architecture(model)
        save_detector(folder / model, arch, trained_like(arch).state_dict(), CARD)
    return {model: folder / model for model in models.NAMES}


def load_changed(folder: Path, name: str, content: bytes) -> None:
    """Load a detector one of whose files is replaced; ValueError is all that may come of it."""
    before = {file: (folder / file).read_bytes() for file in FILES}
    try:
        (folder / name).write_bytes(content)
        if name != "digest.json":
            sign(folder)
        found = outcome(load_detector, folder)
        assert not isinstance(found, ValueError) or str(folder) in str(found)
    finally:
        for file, there in before.items():
            (folder / file).write_bytes(there)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_a_detector_or_an_error(name: str, data: st.DataObject, saved: dict[str, Path]) -> None:
    content = (saved["grnn"] / name).read_bytes()
    # Most of a file of weights is numbers; what matters is at its head.
    head = len(content) if name != FILES[0] else 8 + int.from_bytes(content[:8], "little")
    load_changed(saved["grnn"], name, data.draw(damaged(content[:head])) + content[head:])


@pytest.mark.parametrize("model", models.NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_any_description_is_a_detector_or_an_error(model: str, data: st.DataObject, saved: dict[str, Path]) -> None:
    document = json.loads((saved[model] / "detector.json").read_text())
    load_changed(saved[model], "detector.json", json.dumps(data.draw(mutated(document))).encode())


@settings(max_examples=150)
@given(data=st.data(), model=st.sampled_from(models.NAMES))
@example(data=None, model="grnn")
def test_any_text_is_an_architecture_or_an_error(data: st.DataObject | None, model: str) -> None:
    document = DOCUMENTS[model] if data is None else data.draw(mutated(DOCUMENTS[model]))
    arch = outcome(Architecture.from_json, json.dumps(document))
    assert isinstance(arch, ValueError) or Architecture.from_json(arch.to_json()) == arch
