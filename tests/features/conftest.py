"""A corpus of small files, made where a test needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import Corpus, Utterance

MakeCorpus = Callable[..., Corpus]


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """``make(train=6, dev=4, eval=4, seconds=0.3)``: that many files of noise a split, bona fide and spoof by turns."""

    def make(train: int = 6, dev: int = 4, eval: int = 4, seconds: float = 0.3) -> Corpus:
        rng = np.random.default_rng(0)
        splits = {}
        for split, files in {"train": train, "dev": dev, "eval": eval}.items():
            splits[split] = tuple(
                _utterance(tmp_path / "audio", split, number, seconds, rng) for number in range(files)
            )
        return Corpus("small", tmp_path / "audio", splits)

    return make


def _utterance(root: Path, split: str, number: int, seconds: float, rng: np.random.Generator) -> Utterance:
    root.mkdir(exist_ok=True)
    path = root / f"{split}_{number}.wav"
    soundfile.write(path, rng.uniform(-0.5, 0.5, round(seconds * 16000) + 100 * number), 16000)
    return Utterance(path.stem, path, number % 2, f"speaker {number % 3}", "-" if number % 2 else "A01")
