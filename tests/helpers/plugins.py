"""One plugin of each kind, as a user would write them: files in folders, and their names.

Each is as small as its package allows, and what it is made of tells whether it was really used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

RULE = '''
"""Incoming weights have the sign of the mean correlation of loss gradient and input; outgoing weights are zero."""

from trainables.growth.zero import zero_outgoing_weights

WORDS = "with the sign of the mean gradient"
SEARCHED = True
NEEDS_SIGNAL = True


def refuses(site):
    if not site.unit or not site.groups:
        return f"{site.name} has no input and output to correlate: grow it by zero"
    return None


def fill(growth):
    state = growth.start()
    for name, group in growth.new_groups():
        sign = -1 if growth.correlate(name).mean() < 0 else 1
        for key in group.incoming:
            state[key] = sign * state[key]
        zero_outgoing_weights(state, group)
    return state
'''

CRITERION = '''
"""Every second neuron is important."""

import torch

WORDS = "every second one first"
SEARCHED = True
NEEDS_DATA = True
batches_seen = []


def scores(evidence):
    batches_seen.append(len(evidence.batches))
    return {name: torch.arange(site.width) % 2 + 0.0 for name, site in evidence.sites.items()}
'''

MODEL = '''
"""A perceptron on the mean of the cepstra over time."""

import torch
from torch import nn

from trainables.models.chain import Chain, Link
from trainables.models.options import complete
from trainables.models.site import Group, Site, Slot, Tap

FRONT_END = "lfcc"
RECIPE = {
    "optimizer": "adam", "lr": 0.01, "weight_decay": 0.0, "batch_size": 8, "clip": 0.0, "loss": "cross_entropy"
}
HEAD = ("head.",)
SEARCH_OPTIONS = {"width": 6}


def resolve(options):
    return complete("perceptron", options, {"width": 64})


def base_widths(config):
    return {"hidden": (config["width"],)}


def sites(config, widths):
    groups = tuple(_group(f"hidden.parts.{number}", width) for number, width in enumerate(widths["hidden"]))
    return (Site("hidden", "inner", 0, groups, unit="hidden"),)


def build(config, widths):
    return Perceptron(widths["hidden"])


class Part(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.down = nn.Linear(20, width), nn.Linear(width, 4, bias=False)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


class Hidden(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.parts = nn.ModuleList(Part(width) for width in widths)

    def forward(self, x):
        return sum(part(x) for part in self.parts)


class Perceptron(Chain):
    def __init__(self, widths):
        super().__init__()
        self.hidden, self.head = Hidden(widths), nn.Linear(4, 2)

    def links(self):
        return [
            Link(("hidden.",), lambda tensors: [self.hidden(tensors[0].mean(dim=1))]),
            Link(("head.",), lambda tensors: [self.head(tensors[0])]),
        ]


def _group(part, width):
    rows = [Slot(f"{part}.up.{name}", 0, "producer") for name in ("weight", "bias")]
    columns = Slot(f"{part}.down.weight", 1, "consumer")
    return Group(width, (*rows, columns), Tap(f"{part}.down", "input", 1), (rows[0].key,))
'''

CORPUS = '''
"""Tones, and noise for spoofs; high tones cannot be had where the cache holds a file that says so."""

import numpy as np
import soundfile

from trainables.corpora.corpus import SPLITS, Corpus, Unavailable, Utterance

WORDS = "a hum"
ROOT = None
VARIANTS = {"tones-high": 2000.0, "tones-low": 200.0}
FALLBACK = "tones-low"
EVAL_ONLY = False
OPTIONS = ()


def read(root, *, variant, cache, splits=("train", "dev", "eval"), skip_bad_files=False, progress=None):
    if variant == 2000.0 and (cache / "no-high-tones").exists():
        raise Unavailable("no whistle")
    folder = cache / f"tones-{variant:g}"
    folder.mkdir(parents=True, exist_ok=True)
    rng, time = np.random.default_rng(0), np.arange(8000) / 16000
    splits = {split: [] for split in SPLITS}
    for split in SPLITS:
        for number in range(16):
            label, name = number % 2, f"{split}-{number}"
            audio = np.sin(variant * 6 * time) if label else rng.uniform(-1, 1, len(time))
            soundfile.write(folder / f"{name}.wav", 0.3 * audio + rng.normal(0, 0.05, len(time)).clip(-0.3, 0.3), 16000)
            splits[split].append(Utterance(name, folder / f"{name}.wav", label, "-", "-" if label else "noise"))
    name = next(name for name, tone in VARIANTS.items() if tone == variant)
    return Corpus(name, folder, {split: tuple(found) for split, found in splits.items()})
'''

SPACE = '''
"""Grow a few neurons wherever a site has neurons and room for more, and cut back to the width of the base."""

from spaces import paper, shared

WORDS = "grow a few neurons and take as many away"
PROCEDURE = "plasticity"


def space(trial, sites, budget):
    count = trial.suggest_int("count", 1, 3)
    grown = [site for site in shared.growable(sites) if site.kind not in ("branch", "stream") and site.width]
    return {
        **shared.unchanged("gentle", budget),
        **shared.training(trial, budget, 0.5, 2.0),
        "grow": {site.name: count if site.room is None else min(count, site.room) for site in grown},
        "final": {site.name: site.width for site in grown},
        "grow_epoch": budget.epochs // 4,
        "prune_epoch": max(1, budget.epochs // 2),
        "rule": trial.suggest_categorical("rule", budget.rules),
        "criterion": trial.suggest_categorical("criterion", budget.criteria),
    }


def prunings(parameters):
    return [{**parameters, "criterion": "original"}]


def recipes(model, sites, budget):
    return paper.plasticity_plans(model, sites, shared.unchanged("gentle", budget))


def initial_points(sites):
    common = {"count": 2, "lr_factor": 1.0, "schedule": "constant"}
    return {"initial-first": {**common, "rule": "mean_sign", "criterion": "second"}}
'''

FILES: Mapping[str, Mapping[str, str]] = {
    "trainables.growth": {"mean_sign": RULE},
    "trainables.criteria": {"second": CRITERION},
    "trainables.models": {"perceptron": MODEL},
    "trainables.corpora": {"tones": CORPUS},
    "spaces": {"gentle": SPACE},
}
"""By package the files of plugins and what is in them."""
CORPUS_NAMES = {"tones-high": "tones", "tones-low": "tones"}


@contextmanager
def added(folder: Path) -> Iterator[None]:
    """Within it each package has its plugin as well: the file in a folder below `folder`, and its name in ``NAMES``."""
    with pytest.MonkeyPatch.context() as patch:
        for package, files in FILES.items():
            module, place = importlib.import_module(package), folder / package
            place.mkdir()
            for name, text in files.items():
                (place / f"{name}.py").write_text(text.lstrip(), encoding="utf-8")
            patch.setattr(module, "__path__", [*module.__path__, str(place)])
            names = module.NAMES
            more = {**names, **CORPUS_NAMES} if isinstance(names, dict) else (*names, *files)
            patch.setattr(module, "NAMES", more)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            for package, files in FILES.items():
                for name in files:
                    sys.modules.pop(f"{package}.{name}", None)
                    vars(sys.modules[package]).pop(name, None)
