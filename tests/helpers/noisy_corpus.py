"""A corpus of noise, bona fide and spoof by turns, and what becomes of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from trainables.corpora.corpus import Corpus, Utterance

MakeCorpus = Callable[..., Corpus]


def made(place: Path, train: int = 6, dev: int = 4, eval: int = 4, seconds: float = 0.3) -> Corpus:
    """That many files of noise a split, written into a folder."""
    rng = np.random.default_rng(0)
    splits = {}
    for split, files in {"train": train, "dev": dev, "eval": eval}.items():
        splits[split] = tuple(utterance(place, split, number, seconds, rng) for number in range(files))
    return Corpus("small", place, splits)


def utterance(root: Path, split: str, number: int, seconds: float, rng: np.random.Generator) -> Utterance:
    root.mkdir(exist_ok=True)
    path = root / f"{split}_{number}.wav"
    soundfile.write(path, rng.uniform(-0.5, 0.5, round(seconds * 16000) + 100 * number), 16000)
    return Utterance(path.stem, path, number % 2, f"speaker {number % 3}", "-" if number % 2 else "A01")


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.exists() else []


def damage(corpus: Corpus, split: str, *numbers: int) -> None:
    """Cut files off within their data, so that their headers are still good where anything is left of them."""
    for number in numbers:
        path = corpus.splits[split][number].path
        path.write_bytes(path.read_bytes()[:30])
