"""Plasticity on a worker: add neurons, retrain everything, prune back, recover."""

from __future__ import annotations

from trainables.base import DetectorTrainable


class PlasticityTrainable(DetectorTrainable):
    """Carries out plans of procedure ``plasticity``."""

    procedure = "plasticity"
