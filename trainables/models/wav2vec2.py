"""wav2vec 2.0 with a pooled linear head, its encoder layers cut into groups of attention heads and neurons.

The convolutions, their projection and the positional embedding are those of ``transformers``; the head is that of its
``Wav2Vec2ForSequenceClassification`` (mean over time, projector, classifier): 94,569,090 parameters on the BASE
configuration. Three kinds of sites per encoder layer: whole attention heads, feed-forward neurons, and the *branch* of
arXiv 2603.24343, a parallel encoder layer whose output is concatenated to the old one's and mapped back.

The convolutions never train, as in the paper. Time masking and layer drop of the checkpoint are off, so that what is
frozen computes the same at every step; its dropout rates are kept for what trains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from trainables.errors import DropinError
from trainables.models import wav2vec2_checkpoint
from trainables.models.chain import Chain, Link
from trainables.models.options import complete
from trainables.models.site import Group, Role, Site, Slot, Tap
from trainables.models.wav2vec2_parts import EncoderLayer

FRONT_END = "waveform"
RECIPE: Mapping[str, Any] = {
    "optimizer": "adamw",
    "lr": 1e-4,
    "weight_decay": 0.01,
    "batch_size": 16,
    "clip": 1.0,
    "loss": "cross_entropy",
}
SEARCH_OPTIONS: Mapping[str, Any] = {"checkpoint": "tiny"}
"""Which a CPU can train."""
FROZEN = ("wav2vec2.feature_extractor.", "wav2vec2.masked_spec_embed")
"""How the names begin of parameters that never train: the convolutions, and the vector for masked frames."""

HEAD = ("projector.", "classifier.")
"""How the names of the classifier's parameters begin."""

FEED_FORWARD_HALF = ("feed_forward", "final_layer_norm", "branch")
"""Parts of an encoder layer behind its attention."""

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def resolve(options: Mapping[str, Any]) -> dict[str, Any]:
    """Checked, complete configuration.

    ``checkpoint``: ``small`` (the paper's random network, the default), ``tiny`` (a random toy), a folder written by
    ``save_pretrained``, or a model's name on the Hugging Face hub. The complete configuration adds ``revision`` (which
    weights) and ``transformers`` (the fields of the checkpoint's own configuration). Where these are given, the
    checkpoint itself is not looked at, so that a detector can be rebuilt without it; with ``small``, fields given by
    hand make any other random network.

    Raises:
        DropinError: an unknown option, an unusable checkpoint or an impossible field.
    """
    config = complete("wav2vec2", options, {"checkpoint": "small", "revision": "", "transformers": None})
    for name in ("checkpoint", "revision"):
        if not isinstance(config[name], str):
            raise DropinError(f"wav2vec2: {name} must be a text; got {config[name]!r}")
    if config["transformers"] is not None:
        return {**config, "transformers": wav2vec2_checkpoint.check(config["transformers"])}
    if config["revision"]:
        raise DropinError("wav2vec2: revision is found out, not chosen: leave it out, or give transformers too")
    checkpoint, revision, fields = wav2vec2_checkpoint.describe(config["checkpoint"])
    return {"checkpoint": checkpoint, "revision": revision, "transformers": fields}


def base_widths(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """One group of heads and one of neurons per encoder layer; no branches."""
    fields = config["transformers"]
    widths: dict[str, tuple[int, ...]] = {}
    for layer in range(fields["num_hidden_layers"]):
        widths[f"encoder.{layer}.heads"] = (fields["num_attention_heads"],)
        widths[f"encoder.{layer}.branch"] = ()
        widths[f"encoder.{layer}.ff"] = (fields["intermediate_size"],)
    return widths


def sites(config: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> tuple[Site, ...]:
    """Heads, branch and feed-forward neurons of each encoder layer, in order of depth.

    The heads and the branch of a layer read the same input; the neurons read what the heads have added to.
    """
    fields = config["transformers"]
    head_dim = fields["hidden_size"] // fields["num_attention_heads"]
    found = []
    for layer in range(fields["num_hidden_layers"]):
        module, name = f"wav2vec2.encoder.layers.{layer}", f"encoder.{layer}"
        heads = tuple(
            _heads(f"{module}.attention.parts.{g}", n, head_dim) for g, n in enumerate(widths[f"{name}.heads"])
        )
        branch = tuple(_branch(f"{module}.branch", fields["hidden_size"]) for _ in widths[f"{name}.branch"])
        neurons = tuple(_neurons(f"{module}.feed_forward.parts.{g}", n) for g, n in enumerate(widths[f"{name}.ff"]))
        found.append(Site(f"{name}.heads", "heads", 2 * layer, heads, unit=f"{module}.attention", removable=True))
        found.append(Site(f"{name}.branch", "branch", 2 * layer, branch, joins=False, limit=1, removable=True))
        found.append(Site(f"{name}.ff", "inner", 2 * layer + 1, neurons, unit=f"{module}.feed_forward", removable=True))
    return tuple(found)


def build(config: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> Wav2Vec2:
    """The network with these widths, freshly initialised. Weights of the checkpoint come from `pretrained_state`."""
    return Wav2Vec2(config["transformers"], widths)


def pretrained_state(config: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The checkpoint's weights under the names of the base's state dict, or ``None`` for a random configuration.

    The head is not among them (and ``masked_spec_embed`` not always): update a fresh state dict with them.

    Raises:
        DropinError: weights that are missing, were changed or do not fit.
    """
    if config["checkpoint"] in wav2vec2_checkpoint.RANDOM:
        return None
    loaded = wav2vec2_checkpoint.weights(config["checkpoint"], config["revision"])
    state = {_renamed(key): tensor for key, tensor in loaded.items()}
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in build(config, base_widths(config)).state_dict().items()}
    wrong = sorted(key for key, tensor in state.items() if shapes.get(key) != tensor.shape)
    if wrong:
        raise DropinError(f"wav2vec2: weights of {config['checkpoint']} do not fit its configuration: {wrong[:5]}")
    return state


class Wav2Vec2(Chain):
    """Waveforms ``[batch, sample]`` at 16 kHz, zero mean and unit variance each, to logits ``[batch, 2]``.

    Links: the convolutions, their projection and positions, the two halves of every encoder layer, the head.
    """

    scoring_batch = 4  # more do not fit the caches: the first convolution gives 26 MB an utterance of 4 s

    def __init__(self, fields: Mapping[str, Any], widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        # The outer parts are those of transformers; its own encoder layers are left out, and ours put in their place.
        config = Wav2Vec2Config(**{**fields, "num_hidden_layers": 0, "mask_time_prob": 0.05})
        self.wav2vec2 = Wav2Vec2Model(config)
        self.wav2vec2.freeze_feature_encoder()
        self.wav2vec2.masked_spec_embed.requires_grad_(False)
        self.norm_first: bool = fields["do_stable_layer_norm"]
        layers = nn.ModuleList()
        for layer in range(fields["num_hidden_layers"]):
            heads, branch, neurons = (widths[f"encoder.{layer}.{site}"] for site in ("heads", "branch", "ff"))
            layers.append(EncoderLayer(config, heads, neurons, branched=bool(branch)))
        self.wav2vec2.encoder.layers = layers
        self.projector = nn.Linear(fields["hidden_size"], fields["classifier_proj_size"])
        self.classifier = nn.Linear(fields["classifier_proj_size"], 2)
        for module in (*layers.modules(), self.projector, self.classifier):
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=fields["initializer_range"])
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def links(self) -> list[Link]:
        """Convolutions, projection, then attention and feed-forward of every layer, and the head."""
        inner = "wav2vec2."
        links = [
            Link((f"{inner}feature_extractor.",), lambda x: [self.wav2vec2.feature_extractor(x[0]).transpose(1, 2)]),
        ]
        entry = (f"{inner}feature_projection.", f"{inner}encoder.pos_conv_embed.", f"{inner}masked_spec_embed")
        norm = (f"{inner}encoder.layer_norm.",)
        links.append(Link(entry if self.norm_first else entry + norm, self._enter))
        layers: Any = self.wav2vec2.encoder.layers
        for number, layer in enumerate(layers):
            name = f"{inner}encoder.layers.{number}"
            links.append(Link((f"{name}.attention.", f"{name}.layer_norm."), layer.attend))
            links.append(Link(tuple(f"{name}.{part}." for part in FEED_FORWARD_HALF), layer.feed))
        head = ("projector.", "classifier.")
        return [*links, Link(head + norm if self.norm_first else head, self._decide)]

    def _enter(self, convolved: list[Tensor]) -> list[Tensor]:
        encoder = self.wav2vec2.encoder
        states, _ = self.wav2vec2.feature_projection(convolved[0])
        states = states + encoder.pos_conv_embed(states)
        if not self.norm_first:
            states = encoder.layer_norm(states)
        return [encoder.dropout(states)]

    def _decide(self, states: list[Tensor]) -> list[Tensor]:
        last = states[0]
        if self.norm_first:
            last = self.wav2vec2.encoder.layer_norm(last)
        # The mean goes through the projector rather than the other way round: both are linear, and this is cheaper.
        return [self.classifier(self.projector(last.mean(dim=1)))]


def _renamed(key: str) -> str:
    """The name here of a tensor of ``Wav2Vec2Model``: output biases beside the parts, all else in part 0."""
    key = re.sub(r"(attention)\.out_proj\.bias$|(feed_forward)\.output_dense\.bias$", r"\1\2.bias", key)
    return "wav2vec2." + re.sub(
        r"(layers\.\d+\.(?:attention|feed_forward))\.(\w+_(?:proj|dense)\.)", r"\1.parts.0.\2", key
    )


def _linear(prefix: str, axis: int | None, role: Role, each: int = 1) -> tuple[Slot, ...]:
    return tuple(Slot(f"{prefix}.{name}", axis, role, each=each) for name in ("weight", "bias"))


def _heads(part: str, heads: int, head_dim: int) -> Group:
    rows = [slot for name in PROJECTIONS for slot in _linear(f"{part}.{name}", 0, "producer", head_dim)]
    columns = Slot(f"{part}.out_proj.weight", 1, "consumer", each=head_dim)
    return Group(heads, (*rows, columns), Tap(f"{part}.out_proj", "input", -1, head_dim), (f"{part}.v_proj.weight",))


def _neurons(part: str, width: int) -> Group:
    rows = _linear(f"{part}.intermediate_dense", 0, "producer")
    columns = Slot(f"{part}.output_dense.weight", 1, "consumer")
    return Group(width, (*rows, columns), Tap(f"{part}.output_dense", "input", -1), (rows[0].key,))


def _branch(branch: str, hidden: int) -> Group:
    """A branch is one neuron as wide as the hidden states: all of its tensors come and go together."""
    layer = f"{branch}.layer"
    attention, neurons = f"{layer}.attention.parts.0", f"{layer}.feed_forward.parts.0"
    slots = (
        *(slot for name in PROJECTIONS for slot in _linear(f"{attention}.{name}", None, "producer")),
        Slot(f"{attention}.out_proj.weight", None, "producer"),
        Slot(f"{layer}.attention.bias", None, "producer"),
        *_linear(f"{layer}.layer_norm", None, "norm"),
        *_linear(f"{neurons}.intermediate_dense", None, "producer"),
        Slot(f"{neurons}.output_dense.weight", None, "producer"),
        Slot(f"{layer}.feed_forward.bias", None, "producer"),
        *_linear(f"{layer}.final_layer_norm", None, "norm"),
        Slot(f"{branch}.fuse_old.weight", None, "identity"),
        Slot(f"{branch}.fuse_new.weight", 1, "consumer", each=hidden),
        Slot(f"{branch}.fuse_new.bias", None, "consumer"),
    )
    return Group(1, slots, Tap(layer, "output", -1, hidden))
