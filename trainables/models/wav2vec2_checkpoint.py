"""Where a wav2vec 2.0 detector's configuration and first weights come from: a folder, the hub, or nowhere (random)."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2Model
from transformers.activations import ACT2FN
from transformers.utils import logging

from trainables import git_lfs
from trainables.errors import DropinError
from trainables.models.bounds import MOST_LAYERS, MOST_NEURONS, is_count

BASE: Mapping[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout": 0.1,
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
    "feat_proj_dropout": 0.0,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-5,
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "conv_dim": [512, 512, 512, 512, 512, 512, 512],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "classifier_proj_size": 256,
}
"""Every setting that shapes the network or its function, named as in ``transformers``; values of wav2vec 2.0 BASE."""

SMALL: Mapping[str, Any] = {**BASE, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 512}
"""The random network of arXiv 2603.24343's plasticity."""

TINY: Mapping[str, Any] = {
    **BASE,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "hidden_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "conv_dim": [16, 32, 32],
    "conv_stride": [10, 8, 4],
    "conv_kernel": [20, 8, 4],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 32,
}
"""A toy with the frame rate of the real ones (50 a second), for tests and trying things."""

RANDOM: Mapping[str, Mapping[str, Any]] = {"small": SMALL, "tiny": TINY}
_OLDER = "which transformers 4 has (pip install 'transformers<5', in another environment)"
CONVERTERS: Mapping[str, tuple[str, str]] = {
    "*.h5": ("TensorFlow", f"Wav2Vec2Model.from_pretrained(FOLDER, from_tf=True).save_pretrained(NEW), {_OLDER}"),
    "*.msgpack": ("Flax", f"Wav2Vec2Model.from_pretrained(FOLDER, from_flax=True).save_pretrained(NEW), {_OLDER}"),
    "*.pt": (
        "fairseq",
        "python -m transformers.models.wav2vec2.convert_wav2vec2_original_pytorch_checkpoint_to_pytorch "
        f"--not_finetuned --checkpoint_path FILE --pytorch_dump_folder_path NEW, {_OLDER}",
    ),
}
"""By the names of files: the library whose weights they hold, and what converts them."""
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "feat_extract_norm": ("group", "layer"),
    "hidden_act": tuple(ACT2FN),
    "feat_extract_activation": tuple(ACT2FN),
}


def check(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` as JSON would give them back, if they are a complete and possible configuration.

    Raises:
        DropinError: a missing, unknown or impossible field.
    """
    if not isinstance(fields, Mapping):
        raise DropinError(f"wav2vec2: transformers must map the fields of BASE to values; got {str(fields)[:80]!r}")
    wrong = sorted(set(fields) ^ set(BASE))[:10]
    if wrong:
        raise DropinError(f"wav2vec2: transformers must hold the fields of BASE exactly; missing or unknown: {wrong}")
    fields = {name: list(value) if isinstance(value, (list, tuple)) else value for name, value in fields.items()}
    for name, value in fields.items():
        usual = BASE[name]
        if isinstance(usual, bool):
            good, rule = isinstance(value, bool), "true or false"
        elif isinstance(usual, int):
            most = MOST_LAYERS if name == "num_hidden_layers" else MOST_NEURONS
            good, rule = is_count(value, most), f"a whole number from 1 to {most}"
        elif isinstance(usual, list):
            good = isinstance(value, list) and len(value) <= MOST_LAYERS and all(map(is_count, value))
            rule = f"a list of at most {MOST_LAYERS} whole numbers from 1 to {MOST_NEURONS}"
        elif name in CHOICES:
            good, rule = value in CHOICES[name], f"one of {', '.join(CHOICES[name])}"
        else:
            good, rule = type(value) in (int, float) and 0 <= value < 1, "a number from 0 to below 1"
        if not good:
            raise DropinError(f"wav2vec2: {name} must be {rule}; got {value!r:.80}")
    if not len(fields["conv_dim"]) == len(fields["conv_stride"]) == len(fields["conv_kernel"]) > 0:
        raise DropinError(
            "wav2vec2: conv_dim, conv_stride and conv_kernel must be equally long, one entry a convolution"
        )
    for divisor in ("num_attention_heads", "num_conv_pos_embedding_groups"):
        if fields["hidden_size"] % fields[divisor]:
            raise DropinError(f"wav2vec2: hidden_size must be a multiple of {divisor}; got {fields['hidden_size']}")
    return fields


def describe(checkpoint: str) -> tuple[str, str, dict[str, Any]]:
    """Which weights `checkpoint` names: its lasting name, the revision of the weights, the configuration's fields.

    A folder's lasting name is its absolute path and its revision the SHA-256 of its weights; a hub model's revision is
    its commit; a random configuration has the empty revision.

    Raises:
        DropinError: no such checkpoint, or one that is not a plain wav2vec 2.0 model.
    """
    if checkpoint in RANDOM:
        return checkpoint, "", check(RANDOM[checkpoint])
    folder = Path(checkpoint).expanduser()
    if os.path.isdir(folder):
        settings, revision, checkpoint = folder / "config.json", _digest(folder), str(folder.resolve())
    elif checkpoint.startswith((".", "/", "~")):
        raise DropinError(f"wav2vec2: checkpoint names a folder that is not there: {checkpoint}")
    else:
        settings = _from_hub(checkpoint)
        revision = settings.parent.name  # the hub's cache keeps a commit's files in a folder of its name
    raw = _settings(settings, checkpoint)
    if raw.get("model_type") != "wav2vec2":
        raise DropinError(f"wav2vec2: {checkpoint} must be of model_type wav2vec2; its config.json says otherwise")
    if raw.get("adapter_attn_dim") is not None or raw.get("add_adapter"):
        raise DropinError(f"wav2vec2: {checkpoint} has adapter layers, which are not supported; take one without")
    config = Wav2Vec2Config.from_dict(raw)
    return checkpoint, revision, check({name: getattr(config, name) for name in BASE})


def weights(checkpoint: str, revision: str) -> dict[str, Tensor]:
    """The float32 state dict of the ``Wav2Vec2Model`` that `describe` found.

    Raises:
        DropinError: the weights are gone, are others than at `describe`'s time, or do not cover the model.
    """
    folder = Path(checkpoint)
    config = None
    if os.path.isdir(folder):
        if _digest(folder) != revision:
            raise DropinError(
                f"wav2vec2: the weights in {checkpoint} changed since the run was set up; start a new run"
            )
        revision = "main"  # folders have no revisions
        config = Wav2Vec2Config.from_dict(_settings(folder / "config.json", checkpoint))
    try:
        with _quiet():
            loaded: Any = Wav2Vec2Model.from_pretrained(
                checkpoint,
                config=config,
                revision=revision,
                dtype=torch.float32,
                output_loading_info=True,
                weights_only=True,  # of a *.bin, which is a pickle, tensors are taken and nothing is called
            )
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise DropinError(f"wav2vec2: cannot load the weights of {checkpoint}: {error}") from error
    model, found = loaded
    missing = sorted(set(found["missing_keys"]) - {"masked_spec_embed"})
    if missing:
        raise DropinError(f"wav2vec2: {checkpoint} lacks weights of the model: {', '.join(missing[:5])}")
    return dict(model.state_dict())


def _settings(file: Path, checkpoint: str) -> dict[str, Any]:
    """What a ``config.json`` holds; nothing, if that is no object."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8-sig"))  # editors of Windows put a mark at its beginning
    except (OSError, ValueError) as error:
        pointer = git_lfs.is_pointer(file)
        reason = git_lfs.CURE if pointer else error
        raise DropinError(f"wav2vec2: {checkpoint} needs a readable config.json: {reason}") from error
    return raw if isinstance(raw, dict) else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars, and its report on the weights of other heads, off the terminal."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _digest(folder: Path) -> str:
    """SHA-256 over a folder's weight files, in order of their names."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    if not files:
        raise DropinError(
            f"wav2vec2: {folder} must hold weights (*.safetensors or *.bin), as save_pretrained writes them"
            f"{_other_weights(folder)}"
        )
    digest = hashlib.sha256()
    for file in files:
        if git_lfs.is_pointer(file):
            raise DropinError(f"wav2vec2: the weights {file} cannot be read: {git_lfs.CURE}")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _other_weights(folder: Path) -> str:
    """How to convert the weights of other libraries that a folder holds; nothing, if it has none."""
    for pattern, (library, way) in CONVERTERS.items():
        if found := sorted(folder.glob(pattern)):
            return f"; {found[0].name} has weights of {library}: convert them by {way}"
    return ""


def _from_hub(name: str) -> Path:
    """The cached ``config.json`` of a hub model, downloaded where it must be."""
    try:
        return Path(hf_hub_download(name, "config.json"))
    except (OSError, ValueError) as error:
        raise DropinError(
            f"wav2vec2: checkpoint must be {', '.join(RANDOM)}, a folder, or a model of the Hugging Face hub, which "
            f"needs a network; got {name!r}. Download it where there is one, then give its folder. ({error})"
        ) from error
