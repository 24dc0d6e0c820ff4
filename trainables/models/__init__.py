"""Models: detectors whose layers can change their width. One file per model; `NAMES` lists them.

A file defines

- ``FRONT_END``: the features that it reads, a name of ``trainables.features.NAMES``.
- ``RECIPE``: how its base is trained: ``optimizer`` (adam or adamw), ``lr``, ``weight_decay``, ``batch_size``, ``clip``
  (largest gradient norm, 0 for none) and ``loss`` (a name of ``trainables.trial.training.LOSSES``).
- ``HEAD``: how the names of the classifier's parameters begin.
- ``SEARCH_OPTIONS``: the options whose default in a search is not the model's own, such as sizes that a CPU can train.
- ``resolve(options) -> config``: the options checked and completed; JSON types only.
- ``base_widths(config)``: for every site the widths of the base's groups, one group each, ``()`` for an absent branch.
- ``sites(config, widths)``: the sites in order of depth, see ``trainables.models.site``.
- ``build(config, widths)``: the freshly initialised module, a ``trainables.models.chain.Chain``.

and, where it has a use for them,

- ``FROZEN``: how the names begin of parameters that never train (default: none).
- ``SERIAL``: whether a single CPU thread trains it fastest (default: ``False``).
- ``pretrained_state(config)``: the weights that a base starts from, or ``None`` for random ones (default: random).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainables.registry import Registry

NAMES = ("resnet18", "grnn", "wav2vec2")
_CONSTANTS = ("FRONT_END", "RECIPE", "HEAD", "SEARCH_OPTIONS")
_MODELS = Registry(__name__, "model", (*_CONSTANTS, "resolve", "base_widths", "sites", "build"))
load = _MODELS.load


def search_options(name: str) -> Mapping[str, Any]:
    """``SEARCH_OPTIONS`` of a model, without an import of its file, which would import torch.

    Raises:
        DropinError: no such model.
    """
    options: Mapping[str, Any] = _MODELS.constant(name, "SEARCH_OPTIONS")
    return options
