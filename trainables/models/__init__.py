"""Detectors whose layers can change their width. One file per model; the file name is the option's name."""

from __future__ import annotations

from trainables.registry import Registry

NAMES = ("resnet18", "grnn", "wav2vec2")
_MODELS = Registry(__name__, "model", ("FRONT_END", "RECIPE", "HEAD", "resolve", "base_widths", "sites", "build"))
load = _MODELS.load
