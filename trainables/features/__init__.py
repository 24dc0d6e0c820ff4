"""Front ends by name, and the Arrow files that cache their features.

A front end is a module with ``SETTINGS`` (JSON types; part of the digest of the features), ``DTYPE`` (of stored
features), ``shape(samples) -> tuple`` and ``transform(audio) -> array`` for one segment of that many samples.
"""

from __future__ import annotations

from trainables.registry import Registry

NAMES = ("log_mel", "lfcc", "waveform")
_FRONT_ENDS = Registry(__name__, "front end", ("SETTINGS", "DTYPE", "shape", "transform"))
load = _FRONT_ENDS.load
