"""What a search says of its corpus, and of nothing else."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import finished_run
from search.display.progress import Display
from search.reporting.measurement import load_scoring_data
from search.running import preparation
from search.runs.members import StoredRun
from search.settings.options import Settings
from trainables import corpora
from trainables.corpora.corpus import Corpus, Unavailable
from trainables.features import store

NOTE = "corpus demo cannot be built here (no packages here); going on with synthetic, which is simulated speech"


@pytest.fixture
def finished(tmp_path: Path) -> StoredRun:
    return StoredRun.open(finished_run.make(tmp_path))


@pytest.fixture
def demo_falls_back(corpus_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo corpus cannot be built, and meanwhile another thread warns, as one that starts Ray may."""

    def unavailable(root: Path | None, **options: Any) -> Corpus:
        def warn() -> None:
            warnings.warn("Ray is on its way", UserWarning, stacklevel=1)

        other = threading.Thread(target=warn)
        other.start()
        other.join()
        raise Unavailable("no packages here")

    read: Callable[..., Corpus] = corpora.load("synthetic").read
    monkeypatch.setattr(corpora.load("demo"), "read", unavailable)
    monkeypatch.setattr(
        corpora.load("synthetic"), "read", lambda root, **options: read(root, **{**options, "cache": corpus_cache})
    )
    monkeypatch.setattr(store, "build", lambda *given, **named: Path("features"))


@pytest.mark.filterwarnings("ignore:Ray is on its way")
@pytest.mark.usefixtures("demo_falls_back")
def test_what_a_corpus_has_to_say_is_shown_and_no_warning_of_another_thread(settings: Settings) -> None:
    said = io.StringIO()
    assert settings.corpus == "demo"
    preparation.prepare_features(settings, Display(Console(file=said, width=1000)))
    assert said.getvalue().splitlines().count(NOTE) == 1
    assert "on its way" not in said.getvalue()


@pytest.mark.filterwarnings("ignore:Ray is on its way")
@pytest.mark.usefixtures("finished", "demo_falls_back")  # in this order
def test_scoring_says_the_same(finished: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, own = io.StringIO(), replace(finished.settings, corpus="demo", corpus_root=None)
    digest = corpora.read("demo", None, cache=tmp_path).digest()
    run = replace(finished, settings=own, corpus={"digest": digest})
    monkeypatch.setattr(store, "open_split", lambda folder, name: None)
    load_scoring_data(
        run,
        {"front_end": "log_mel", "seconds": 4.0},
        root=None,
        cache=tmp_path,
        skip_bad_files=False,
        display=Display(Console(file=said, width=1000)),
    )
    assert said.getvalue().splitlines().count(NOTE) == 1
    assert "on its way" not in said.getvalue()
