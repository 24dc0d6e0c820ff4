"""What the peers share: a data set of ASVspoof 2019 LA, ResNet18, and growing, cutting and freezing it by hand.

Written as somebody writes it who has PyTorch and the paper, and knows nothing of this project.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

RATE, SECONDS = 16000, 4
LAYERS, BRANCHED = (1, 2, 3, 4), (2, 3)
PROTOCOLS = {"train": "train.trn", "dev": "dev.trl"}


class Utterances(Dataset[tuple[Tensor, int]]):
    """A split of ASVspoof 2019 LA: log-mel spectrograms ``[1, 64, 126]`` and labels, 1 for bona fide.

    With `keep` the spectrograms stay in memory, which small corpora allow and loader processes do not.
    """

    def __init__(self, root: Path, split: str, keep: bool = False) -> None:
        protocol = root / f"LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{PROTOCOLS[split]}.txt"
        rows = [line.split() for line in protocol.read_text().splitlines() if line.strip()]
        self.files = [root / f"LA/ASVspoof2019_LA_{split}/flac/{row[1]}.flac" for row in rows]
        self.labels = np.array([int(row[4] == "bonafide") for row in rows])
        self.mel = torchaudio.transforms.MelSpectrogram(RATE, n_fft=1024, hop_length=512, n_mels=64)
        self.decibels = torchaudio.transforms.AmplitudeToDB("power", top_db=80)
        self.keep = keep
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self.kept[index] if index in self.kept else self.spectrogram(index)
        if self.keep:
            self.kept[index] = x
        return x, int(self.labels[index])

    def spectrogram(self, index: int) -> Tensor:
        """Decoded, repeated or cut to 4 seconds, transformed, standardised."""
        samples = RATE * SECONDS
        audio, _ = soundfile.read(self.files[index], frames=samples, dtype="float32")
        audio = np.tile(audio, -(-samples // len(audio)))[:samples]
        levels = self.decibels(self.mel(torch.from_numpy(audio)))
        return ((levels - levels.mean()) / (levels.std() + 1e-6))[None]


class Norm(nn.BatchNorm2d):
    """A batch norm whose first channels may be frozen: in training these keep their statistics and go by them."""

    frozen = 0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[batch, channels, height, width]``."""
        if not self.training or not self.frozen:
            return super().forward(x)
        old = self.part(x, slice(self.frozen), training=False)
        if self.frozen == self.num_features:
            return old
        return torch.cat([old, self.part(x, slice(self.frozen, None), training=True)], dim=1)

    def part(self, x: Tensor, channels: slice, training: bool) -> Tensor:
        """Normalise some channels by the batch or by the statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        statistics = self.running_mean[channels], self.running_var[channels]
        return functional.batch_norm(x[:, channels], *statistics, self.weight[channels], self.bias[channels], training)


class Block(nn.Module):
    """torchvision's basic block with inner channels of any number; with none it is its shortcut."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner = inner
        if inner:
            self.conv1 = nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False)
            self.bn1 = Norm(inner)
            self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
            self.bn2 = Norm(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), Norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The residual sum."""
        if not self.inner:
            return functional.relu(self.downsample(x))
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(out + self.downsample(x))


class ResNet18(nn.Module):
    """ResNet18 on one channel.

    `widths` are the inner channels of each block, the channels of each layer's residual stream and those of parallel
    branches.
    """

    def __init__(self, width: int, widths: dict[str, int]) -> None:
        super().__init__()
        self.width, self.widths = width, widths
        inputs = widths["layer1.stream"]
        self.stem = nn.Sequential(
            nn.Conv2d(1, inputs, 7, 2, 3, bias=False), Norm(inputs), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        for layer in LAYERS:
            channels, stride = widths[f"layer{layer}.stream"], 1 if layer == 1 else 2
            first = Block(inputs, widths[f"layer{layer}.0"], channels, stride)
            second = Block(channels, widths[f"layer{layer}.1"], channels, 1)
            setattr(self, f"layer{layer}", nn.Sequential(first, second))
            branch = widths.get(f"layer{layer}.branch", 0)
            if branch:
                setattr(self, f"branch{layer}", Block(inputs, branch, branch, stride))
            inputs = channels + branch
        self.fc = nn.Linear(inputs, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits; the second is bona fide."""
        x = self.stem(x)
        for layer in LAYERS:
            out = getattr(self, f"layer{layer}")(x)
            if self.widths.get(f"layer{layer}.branch", 0):
                out = torch.cat([out, getattr(self, f"branch{layer}")(x)], dim=1)
            x = out
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


def base_widths(width: int) -> dict[str, int]:
    """Widths of the network that is grown."""
    blocks = {f"layer{layer}.{block}": width * 2 ** (layer - 1) for layer in LAYERS for block in (0, 1)}
    return {**blocks, **{f"layer{layer}.stream": width * 2 ** (layer - 1) for layer in LAYERS}}


def size_of(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def grow(model: ResNet18, add: dict[str, int], init: str) -> ResNet18:
    """A wider network with the old weights in the corner of each tensor; new inputs are read with weight 0 if asked."""
    widths = {site: model.widths.get(site, 0) + add.get(site, 0) for site in {**model.widths, **add}}
    wider, old = ResNet18(model.width, widths), model.state_dict()
    for name, tensor in wider.state_dict().items():  # these share memory with the network
        if name in old:
            if init == "zero" and tensor.dim() > 1:
                tensor[:, old[name].shape[1] :] = 0
            tensor[tuple(slice(length) for length in old[name].shape)] = old[name]
    return wider


def cut(model: ResNet18, keep: dict[str, Tensor]) -> ResNet18:
    """A network with these channels of blocks and streams; a block that keeps none goes, but for its shortcut."""
    state = model.state_dict()
    for site, index in keep.items():
        if site.endswith(".stream"):
            narrow(state, model, int(site[5]), index)
        elif not len(index):
            gone = tuple(f"{site}.{part}." for part in ("conv1", "bn1", "conv2", "bn2"))
            state = {name: tensor for name, tensor in state.items() if not name.startswith(gone)}
        else:
            for name in ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"):
                state[f"{site}.{name}"] = state[f"{site}.{name}"][index]
            state[f"{site}.conv2.weight"] = state[f"{site}.conv2.weight"][:, index]
    smaller = ResNet18(model.width, {**model.widths, **{site: len(index) for site, index in keep.items()}})
    smaller.load_state_dict(state)
    return smaller


def narrow(state: dict[str, Tensor], model: ResNet18, layer: int, index: Tensor) -> None:
    """Keep these channels of a layer's stream, in all that writes it and all that reads it."""
    for name in writers(layer):
        for part in ("weight", "bias", "running_mean", "running_var"):
            if f"{name}.{part}" in state:
                state[f"{name}.{part}"] = state[f"{name}.{part}"][index]
    above, channels = layer + 1, model.widths[f"layer{layer}.stream"]
    readers = [f"layer{layer}.1.conv1", f"layer{above}.0.conv1", f"layer{above}.0.downsample.0", "fc"]
    readers += [f"branch{above}.conv1", f"branch{above}.downsample.0", *(["layer1.0.conv1"] if layer == 1 else [])]
    for name in readers:
        weight = state.get(f"{name}.weight")
        if weight is not None and (name != "fc" or layer == LAYERS[-1]):  # channels of a branch come after the stream's
            state[f"{name}.weight"] = torch.cat([weight[:, :channels][:, index], weight[:, channels:]], dim=1)


def writers(layer: int) -> list[str]:
    """Convolutions and norms whose outputs are the channels of a layer's stream, as far as they are there."""
    first = ["stem.0", "stem.1"] if layer == 1 else [f"layer{layer}.0.downsample.{part}" for part in (0, 1)]
    return [*first, *(f"layer{layer}.{block}.{part}" for block in (0, 1) for part in ("conv2", "bn2"))]


def strongest(model: ResNet18, site: str, count: int, criterion: str) -> Tensor:
    """Which channels stay: the oldest (original) or those with the largest incoming weights (magnitude)."""
    if criterion == "original":
        return torch.arange(count)
    names = [f"{site}.conv1"] if not site.endswith(".stream") else writers(int(site[5]))
    parameters = dict(model.named_parameters())
    weights = [parameters[f"{name}.weight"].detach() for name in names if f"{name}.weight" in parameters]
    strength = sum(weight.abs().mean(dim=(1, 2, 3)) for weight in weights if weight.dim() == 4)
    return torch.as_tensor(strength).topk(count).indices.sort().values


def freeze(model: ResNet18, base: dict[str, Tensor], train: str) -> list[nn.Parameter]:
    """Let nothing of the base train (``new``), or only its classifier (``new+head``), or everything (``all``).

    Tensors that did not grow are switched off; of those that did, the old corner gets no gradient.
    """
    for name, module in model.named_modules():
        if isinstance(module, Norm) and f"{name}.weight" in base and train != "all":
            module.frozen = len(base[f"{name}.weight"])
    for name, parameter in model.named_parameters():
        old = base.get(name)
        if old is None or train == "all" or (train == "new+head" and name.startswith("fc.")):
            continue
        if old.shape == parameter.shape:
            parameter.requires_grad = False
        else:
            mask = torch.ones_like(parameter)
            mask[tuple(slice(length) for length in old.shape)] = 0
            parameter.register_hook(partial(torch.mul, mask))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
