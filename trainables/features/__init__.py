"""What a detector is fed: front ends by name, and the Arrow store that keeps what they compute.

A front end is a module that offers ``SETTINGS`` (JSON types; part of the store's address), ``DTYPE`` (of what is
stored), ``shape(samples) -> tuple`` and ``transform(audio) -> array`` for one segment of that many samples.
"""

from __future__ import annotations

from trainables.registry import Registry

NAMES = ("log_mel", "lfcc", "waveform")
_FRONT_ENDS = Registry(__name__, "front end", ("SETTINGS", "DTYPE", "shape", "transform"))
load = _FRONT_ENDS.load
