"""The demo corpus as it was built for real: what it holds, and that nothing but the speech tells the classes apart.

Runs where ``DROPIN_DEMO_CACHE`` names a cache that holds the corpus; nothing is built here.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainables.audio.reading import SAMPLE_RATE, read_audio
from trainables.corpora import demo
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.demo import build, channel, recipe
from trainables.features import log_mel
from trainables.features.segment import segment
from trainables.metrics.eer import eer_of

CUES = ("duration", "level", "peak", "silence before", "silence after", "85 % of the power below", "95 % below")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    cache = os.environ.get("DROPIN_DEMO_CACHE")
    if not cache:
        pytest.skip("no built demo corpus; point DROPIN_DEMO_CACHE at the cache of one")
    assert build.folder(Path(cache)).is_dir(), f"{cache} does not hold the demo corpus of the present recipe"
    return demo.read(None, cache=Path(cache))


@pytest.fixture(scope="module")
def audio(corpus: Corpus) -> dict[str, list[np.ndarray]]:
    return {split: [read_audio(one.path) for one in corpus.splits[split]] for split in SPLITS}


def labels(corpus: Corpus, split: str) -> np.ndarray:
    return np.array([one.label for one in corpus.splits[split]])


def cues(audio: np.ndarray) -> list[float]:
    """What a detector must not live off: see `CUES`."""
    frame = SAMPLE_RATE // 100
    energy = (audio[: len(audio) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (channel.SILENCE_DB / 10))
    power = np.cumsum(np.abs(np.fft.rfft(audio)) ** 2)
    below = [float(np.searchsorted(power, share * power[-1])) / len(power) for share in (0.85, 0.95)]
    level = 10 * np.log10(np.mean(audio**2))
    peak = 20 * np.log10(np.abs(audio).max()) - level
    return [len(audio) / SAMPLE_RATE, level, peak, float(loud[0]), float(len(energy) - 1 - loud[-1]), *below]


def spectrum(audio: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each mel band over 4 s."""
    bands = np.asarray(log_mel.transform(segment(audio, 4 * SAMPLE_RATE)))[0]
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1)])


def dev_error(corpus: Corpus, features: dict[str, np.ndarray]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5000, class_weight="balanced"))
    model.fit(features["train"], labels(corpus, "train"))
    return eer_of(model.decision_function(features["dev"]), labels(corpus, "dev"))[0]


def test_counts_attacks_and_speakers(corpus: Corpus) -> None:
    for split in SPLITS:
        kinds = labels(corpus, split)
        assert kinds.sum() == recipe.BONA_FIDE[split]
        assert (1 - kinds).sum() == recipe.SPOOFS[split]
    attacks = {split: {one.attack for one in corpus.splits[split]} - {"-"} for split in SPLITS}
    speakers = {split: {one.speaker for one in corpus.splits[split]} for split in SPLITS}
    assert attacks["train"] == attacks["dev"]
    assert speakers["train"] == speakers["dev"]
    assert not attacks["train"] & attacks["eval"]
    assert not speakers["train"] & speakers["eval"]
    assert len(attacks["train"]) >= 2
    assert len(attacks["eval"]) >= 1


def test_no_prompt_in_two_splits_or_in_both_classes(corpus: Corpus) -> None:
    lines = [line.split() for line in (corpus.root / build.SOURCES).read_text(encoding="utf-8").splitlines()]
    sources = {name: (attack, language, key) for name, attack, language, key in lines}
    copies = {attack.name for group in recipe.ATTACKS.values() for attack in group if attack.copies}
    said: dict[str, set[tuple[str, str]]] = {}
    for split in SPLITS:
        here = [sources[one.name] for one in corpus.splits[split]]
        assert [attack for attack, _, _ in here] == [one.attack for one in corpus.splits[split]]
        said[split] = {(language, key) for _, language, key in here}
        heard = [(language, key) for attack, language, key in here if attack == "-"]
        assert len(heard) == len(set(heard))
        assert not set(heard) & {(language, key) for attack, language, key in here if attack in copies}
    assert not said["train"] & said["dev"]
    assert not (said["train"] | said["dev"]) & said["eval"]


def test_files_are_small_and_alike(corpus: Corpus) -> None:
    files = [path for path in corpus.root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100e6
    assert {path.suffix for path in files} == {".flac", ".txt", ".json"}


@pytest.mark.parametrize("split", SPLITS)
def test_no_single_cue_tells_the_classes_apart(corpus: Corpus, audio: dict[str, list[np.ndarray]], split: str) -> None:
    values = np.array([cues(one) for one in audio[split]])
    for name, column in zip(CUES, values.T, strict=True):
        error = min(eer_of(sign * column, labels(corpus, split))[0] for sign in (1, -1))
        assert error > 0.3, f"{name} alone finds the spoofs of {split} with an equal error rate of {error:.3f}"


def test_all_cues_together_tell_little(corpus: Corpus, audio: dict[str, list[np.ndarray]]) -> None:
    features = {split: np.array([cues(one) for one in audio[split]]) for split in ("train", "dev")}
    assert dev_error(corpus, features) > 0.25


def test_spectra_tell_much_but_not_all(corpus: Corpus, audio: dict[str, list[np.ndarray]]) -> None:
    features = {split: np.array([spectrum(one) for one in audio[split]]) for split in ("train", "dev")}
    assert 0.03 < dev_error(corpus, features) < 0.3
