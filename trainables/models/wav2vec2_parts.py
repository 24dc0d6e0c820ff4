"""The layers of a wav2vec 2.0 encoder, cut into parallel parts whose outputs add up.

They compute what those of ``transformers`` do (Baevski et al., arXiv 2006.11477), in both orders of the norms. The
biases of the output projections stand beside the parts, not in them: they belong to no neuron.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Wav2Vec2Config
from transformers.activations import ACT2FN


class Heads(nn.Module):
    """A group of attention heads of `head_dim` entries each; the output projection has no bias."""

    def __init__(self, hidden: int, heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.q_proj = nn.Linear(hidden, heads * head_dim)
        self.k_proj = nn.Linear(hidden, heads * head_dim)
        self.v_proj = nn.Linear(hidden, heads * head_dim)
        self.out_proj = nn.Linear(heads * head_dim, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """What these heads add to the attention's output; both ``[batch, time, hidden]``."""
        query, key, value = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout if self.training else 0.0
        read = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        out: Tensor = self.out_proj(read.transpose(1, 2).flatten(2))
        return out


class Neurons(nn.Module):
    """A group of feed-forward neurons; the output projection has no bias."""

    def __init__(self, hidden: int, width: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(hidden, width)
        self.activation = ACT2FN[activation]
        self.dropout = nn.Dropout(dropout)
        self.output_dense = nn.Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """What these neurons add to the feed-forward output; both ``[batch, time, hidden]``."""
        out: Tensor = self.output_dense(self.dropout(self.activation(self.intermediate_dense(x))))
        return out


class Parallel(nn.Module):
    """Parts that read the same input, their sum, and one bias for it, which is all where there is no part."""

    def __init__(self, hidden: int, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, time, hidden]``, like the input."""
        total = self.bias.expand_as(x)
        for part in self.parts:
            total = total + part(x)
        return total


class EncoderLayer(nn.Module):
    """Attention and feed-forward, norms after each (or before, with ``do_stable_layer_norm``), and perhaps a branch.

    `heads` and `neurons` are the widths of the groups of each. A branch (arXiv 2603.24343) is one more layer of the
    configuration's own widths beside this one.
    """

    def __init__(
        self, config: Wav2Vec2Config, heads: Sequence[int], neurons: Sequence[int], branched: bool = False
    ) -> None:
        super().__init__()
        hidden, head_dim = config.hidden_size, config.hidden_size // config.num_attention_heads
        self.norm_first = config.do_stable_layer_norm
        self.attention = Parallel(hidden, (Heads(hidden, n, head_dim, config.attention_dropout) for n in heads))
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.feed_forward = Parallel(
            hidden, (Neurons(hidden, n, config.hidden_act, config.activation_dropout) for n in neurons)
        )
        self.final_layer_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.branch = Branch(config) if branched else None

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, time, hidden]``, like the input."""
        return self.feed(self.attend([x]))[0]

    def attend(self, inputs: list[Tensor]) -> list[Tensor]:
        """The layer behind its attention, and its input as well where a branch is going to read it."""
        (x,) = inputs
        if self.norm_first:
            out = x + self.dropout(self.attention(self.layer_norm(x)))
        else:
            out = self.layer_norm(x + self.dropout(self.attention(x)))
        return [out] if self.branch is None else [out, x]

    def feed(self, attended: list[Tensor]) -> list[Tensor]:
        """The layer's output, from what `attend` gives."""
        out = attended[0]
        if self.norm_first:
            out = out + self.dropout(self.feed_forward(self.final_layer_norm(out)))
        else:
            out = self.final_layer_norm(out + self.dropout(self.feed_forward(out)))
        return [out] if self.branch is None else [self.branch(attended[1], out)]


class Branch(nn.Module):
    """A parallel encoder layer, and the linear map of both layers' concatenated outputs back to the hidden size.

    The map keeps one weight per layer, so that the old layer's output never stands in one tensor with the new one's.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.layer = EncoderLayer(config, (config.num_attention_heads,), (config.intermediate_size,))
        self.fuse_old = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.fuse_new = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, old: Tensor) -> Tensor:
        """From the input of both layers and the old one's output; all ``[batch, time, hidden]``."""
        fused: Tensor = self.fuse_old(old) + self.fuse_new(self.layer(x))
        return fused
