"""The examples of the public names, one after the other in one process. Arguments: an empty folder, and a cache."""

from __future__ import annotations

import doctest
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import search

NAMES = (
    *("Settings", "run_search", "open_run", "Run.front", "Run.export", "Run.report"),
    *("load_detector", "Detector.score", "Detector.score_array", "Detector.timeline", "evaluate_detectors"),
)


def main() -> int:
    scratch, cache = map(Path, sys.argv[1:])
    recording = scratch / "recording.flac"
    soundfile.write(recording, 0.1 * np.random.default_rng(1).standard_normal(50_000), 16_000)
    where = {"storage": scratch / "runs", "cache": cache}
    one_worker = {"cpus_per_trial": os.cpu_count()}  # each starts for seconds, and trials take less
    tiny = {"model_option": {"width": 4}, "epochs": 2, "base_epochs": 2, **one_worker, **where}
    known: dict[str, Any] = {"scratch": scratch, "recording": recording, "tiny": tiny}
    runner, failed = doctest.DocTestRunner(), 0
    for name in NAMES:
        (example,) = doctest.DocTestFinder(recurse=False).find(named(name), name, globs=known)
        assert example.examples, f"{name} has no example"
        example.globs = known  # what one example makes, the next ones use
        failed += runner.run(example, clear_globs=False).failed
    return failed


def named(name: str) -> Any:
    found: Any = search
    for part in name.split("."):
        found = getattr(found, part)
    return found


if __name__ == "__main__":
    sys.exit(main())
