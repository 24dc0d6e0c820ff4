"""Detector folders: round trip, atomic writes, and refusal of everything that is no detector."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from detectors import architecture, features, trained_like
from trainables import models
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector, save_detector
from trainables.surgery.grow import grow

CARD = {"front_end": "lfcc", "seconds": 4.0, "eer_dev": 0.125, "threshold": -0.1, "plan": {"grow": {"gru.0": 2}}}
FILES = ("model.safetensors", "detector.json", "digest.json")


def save(folder: Path, seed: int = 0, card: dict[str, Any] | None = None) -> dict[str, torch.Tensor]:
    """Write a small detector; its state dict."""
    arch = architecture("grnn")
    state = trained_like(arch, seed).state_dict()
    save_detector(folder, arch, state, card or CARD)
    return state


def sign(folder: Path) -> None:
    """Write the digests of the files as they are now."""
    contents = {name: (folder / name).read_bytes() for name in FILES[:2]}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    (folder / "digest.json").write_text(json.dumps(digests))


def rewrite(folder: Path, change: dict[str, Any]) -> None:
    """Alter the description, digest included."""
    described = json.loads((folder / "detector.json").read_text())
    (folder / "detector.json").write_text(json.dumps({**described, **change}))
    sign(folder)


@pytest.mark.parametrize("model", models.NAMES)
def test_round_trip(model: str, tmp_path: Path) -> None:
    arch = grow(architecture(model), {next(iter(architecture(model).widths)): 2})
    module = trained_like(arch)
    save_detector(tmp_path / "deep" / "detector", arch, module.state_dict(), CARD)
    found = load_detector(tmp_path / "deep" / "detector")
    assert (found.arch, found.card) == (arch, CARD)
    assert not found.module.training
    state = found.module.state_dict()
    assert list(state) == list(module.state_dict())
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
    assert torch.equal(found.module(features(model)), module(features(model)))


def test_only_safetensors_and_json_for_all_to_read(tmp_path: Path) -> None:
    save(tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(FILES)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == [tmp_path / "one"]


def test_the_same_detector_is_the_same_bytes(tmp_path: Path) -> None:
    save(tmp_path / "one")
    save(tmp_path / "two", card=dict(reversed(CARD.items())))
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in FILES)


def test_writing_again_replaces(tmp_path: Path) -> None:
    save(tmp_path / "one")
    (tmp_path / "one" / "left over").write_text("")
    state = save(tmp_path / "one", seed=1, card={"eer_dev": 0.5})
    found = load_detector(tmp_path / "one")
    assert found.card == {"eer_dev": 0.5}
    assert all(torch.equal(value, state[key]) for key, value in found.module.state_dict().items())
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(FILES)
    assert list(tmp_path.iterdir()) == [tmp_path / "one"]


@pytest.mark.parametrize(
    ("old", "call", "number"),
    [
        *[(old, "fsync", number) for old in (False, True) for number in (1, 2, 3)],
        *[(False, "replace", 1), (True, "replace", 1), (True, "replace", 2)],
    ],
)
def test_a_failure_leaves_what_was_there(
    old: bool, call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while any of the three files is written, or a rename that fails; one to replace is renamed too."""
    folder = tmp_path / "one"
    if old:
        save(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()} if old else {}
    real, calls = getattr(os, call), []

    def failing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == number:
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match="No space left"):
        save(folder, seed=1)
    assert list(tmp_path.iterdir()) == ([folder] if old else [])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before if old else True


def test_the_old_one_is_replaced_only_when_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two renames one of the two exists in full, under its name or its backup name."""
    save(tmp_path / "one")
    real, seen = os.replace, []

    def watched(source: Path, target: Path) -> None:
        real(source, target)
        seen.append(sorted(len(list(folder.iterdir())) for folder in tmp_path.iterdir()))

    monkeypatch.setattr(os, "replace", watched)
    save(tmp_path / "one", seed=1)
    assert seen == [[3, 3], [3, 3]]


@pytest.mark.parametrize("name", FILES)
def test_damage_is_reported_with_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "one" / name
    for damage in ("cut off", "one bit", "emptied", "missing"):
        save(tmp_path / "one")
        content = path.read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            middle = len(content) // 2
            flipped = content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :]
            path.write_bytes({"cut off": content[:-20], "one bit": flipped, "emptied": b""}[damage])
        # A damaged list of digests shows as damage of the file whose digest it has wrong.
        reported = str(tmp_path / "one") if name == "digest.json" else str(path)
        with pytest.raises(ValueError, match=f"^{reported}"):
            load_detector(tmp_path / "one")


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        load_detector(tmp_path / "nowhere")


class Bomb:
    """Unpickling one leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_ever_unpickled(name: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for dump in (lambda value, path: path.write_bytes(pickle.dumps(value)), torch.save):
        save(tmp_path / "one")
        dump(Bomb(trace), tmp_path / "one" / name)
        if name != "digest.json":
            sign(tmp_path / "one")
        with pytest.raises(ValueError, match="one"):
            load_detector(tmp_path / "one")
        assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists()


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    for arch in (Architecture.create("grnn", {"layers": [6, 5, 5]}), architecture("resnet18")):
        save(folder)
        rewrite(folder, {"architecture": json.loads(arch.to_json())})
        with pytest.raises(ValueError, match=f"{folder} is not a detector of this project"):
            load_detector(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": None},
        {"architecture": {"model": "perceptron", "config": {}, "widths": {}}},
        {"architecture": {"model": "grnn", "config": {"layers": [6]}, "widths": {"gru.7": [6]}}},
        {"architecture": {"model": "grnn", "config": {"layers": [6]}, "widths": {"gru.0": [-6]}}},
        {"card": None},
    ],
)
def test_what_describes_no_detector(change: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "one"
    save(folder)
    rewrite(folder, change)
    with pytest.raises(ValueError, match=f"{folder} is not a detector of this project"):
        load_detector(folder)


@pytest.mark.parametrize("content", [b"[]", b"3", b"\xff\xfe", b"{"])
@pytest.mark.parametrize("name", ["detector.json", "digest.json"])
def test_what_is_no_json_object(name: str, content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    save(folder)
    (folder / name).write_bytes(content)
    if name == "detector.json":
        sign(folder)
    with pytest.raises(ValueError, match=f"^{folder / name} must"):
        load_detector(folder)
