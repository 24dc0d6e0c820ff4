"""Search over how audio deepfake detectors grow and are pruned: EER against size.

>>> from search import Settings, run_search, open_run, load_detector, evaluate_detectors

What is offered is imported when it is first used, so that ``import search`` takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api.detectors import Detector as Detector
    from search.api.detectors import load_detector as load_detector
    from search.api.evaluations import evaluate_detectors as evaluate_detectors
    from search.api.runs import Run as Run
    from search.api.runs import open_run as open_run
    from search.api.runs import run_search as run_search
    from search.settings.options import Settings as Settings
    from trainables.errors import DropinError as DropinError

_WHERE = {
    "Detector": "search.api.detectors",
    "DropinError": "trainables.errors",
    "Run": "search.api.runs",
    "Settings": "search.settings.options",
    "evaluate_detectors": "search.api.evaluations",
    "load_detector": "search.api.detectors",
    "open_run": "search.api.runs",
    "run_search": "search.api.runs",
}
__all__ = [
    "Detector",
    "DropinError",
    "Run",
    "Settings",
    "evaluate_detectors",
    "load_detector",
    "open_run",
    "run_search",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for.

    Raises:
        ValueError: another package of the name of one of the project's would be imported.
    """
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from search.cluster.origin import check_origin

    check_origin()
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    """What is offered, besides what every module has."""
    return sorted({*globals(), *__all__})
