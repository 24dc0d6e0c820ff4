"""Dropin on a worker: add neurons, train the new connections."""

from __future__ import annotations

from trainables.base import DetectorTrainable


class DropinTrainable(DetectorTrainable):
    """Carries out plans of procedure ``dropin``."""

    procedure = "dropin"
