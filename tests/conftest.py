"""Fixtures that several rooms use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mini_la() -> Path:
    """Root of a small real-speech corpus in the ASVspoof 2019 LA tree; the test is skipped where it is absent."""
    place = Path(os.environ.get("DROPIN_MINI_LA", ROOT.parent / "shared" / "corpora" / "mini-la")).resolve()
    if not (place / "LA").is_dir():
        pytest.skip(f"no small LA corpus at {place}; point DROPIN_MINI_LA at one")
    return place
