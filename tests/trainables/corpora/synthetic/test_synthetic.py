"""The simulated corpus as a corpus: its tree, its repeatability, its difficulty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from full_disk import full_disk
from trainables import corpora
from trainables.audio.reading import read_audio
from trainables.corpora import asvspoof2019, synthetic
from trainables.corpora.corpus import Corpus, CorpusError
from trainables.errors import DropinError
from trainables.metrics.eer import eer

TINY = {"train": 20, "dev": 10, "eval": 10}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Corpus]:
    cache = tmp_path_factory.mktemp("cache")
    return cache, synthetic.read(cache=cache, utterances=TINY)


def test_splits_speakers_and_attacks(tiny: tuple[Path, Corpus]) -> None:
    _, corpus = tiny
    assert corpus.name == "synthetic"
    assert "simulated" in corpus.note
    labels = {split: [one.label for one in utterances] for split, utterances in corpus.splits.items()}
    assert {split: (sum(ones), len(ones)) for split, ones in labels.items()} == dict(
        train=(8, 20), dev=(4, 10), eval=(4, 10)
    )
    attacks = {split: {one.attack for one in utterances} - {"-"} for split, utterances in corpus.splits.items()}
    assert attacks == {
        "train": {"A01", "A02", "A03", "A04"},
        "dev": {"A01", "A02", "A03", "A04"},
        "eval": {"A05", "A06", "A07"},
    }
    speakers = {split: {one.speaker for one in utterances} for split, utterances in corpus.splits.items()}
    assert speakers["train"] & speakers["dev"]
    assert not (speakers["train"] | speakers["dev"]) & speakers["eval"]


def test_files_are_short_16_khz_mono_flac(tiny: tuple[Path, Corpus]) -> None:
    _, corpus = tiny
    for one in corpus.splits["train"]:
        info = soundfile.info(one.path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 1.49 <= info.duration <= 4.01
        level = np.sqrt(np.mean(read_audio(one.path) ** 2))
        assert 10 ** (-29.1 / 20) < level < 10 ** (-22.9 / 20)


def test_the_tree_is_the_official_one(tiny: tuple[Path, Corpus]) -> None:
    _, corpus = tiny
    assert asvspoof2019.read(corpus.root).splits == corpus.splits


def test_a_second_reading_builds_nothing(tiny: tuple[Path, Corpus]) -> None:
    cache, corpus = tiny
    told: list[str] = []
    again = synthetic.read(cache=cache, utterances=TINY, progress=lambda what, done, total: told.append(what))
    assert again == corpus
    assert set(told) == {"checking audio files"}
    assert [path.name for path in (cache / "corpora").iterdir()] == [corpus.root.name]


def test_same_seed_same_bytes(tiny: tuple[Path, Corpus], tmp_path: Path) -> None:
    _, corpus = tiny
    synthetic.write(tmp_path / "again", utterances=TINY)
    assert contents(tmp_path / "again") == contents(corpus.root)


def test_an_utterance_depends_on_the_seed_but_not_on_how_many_there_are(
    tiny: tuple[Path, Corpus], tmp_path: Path
) -> None:
    _, corpus = tiny
    fewer = {"train": 6, "dev": 5, "eval": 5}
    synthetic.write(tmp_path / "fewer", utterances=fewer)
    synthetic.write(tmp_path / "other", utterances=fewer, seed=1)
    audio = "LA/ASVspoof2019_LA_train/flac/LA_T_1000005.flac"
    assert contents(tmp_path / "fewer")[audio] == contents(corpus.root)[audio]
    frames = {soundfile.info(root / audio).frames for root in (corpus.root, tmp_path / "other")}
    assert len(frames) == 2  # lengths are drawn, too


def test_settings_have_folders_of_their_own(tiny: tuple[Path, Corpus]) -> None:
    cache, corpus = tiny
    other = synthetic.read(cache=cache, utterances={"train": 5, "dev": 5, "eval": 5}, seed=2)
    assert other.root != corpus.root
    assert other.root.parent == corpus.root.parent


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.write(tmp_path / "corpus", utterances=TINY, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_whoever_comes_second_takes_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"

    def overtake(what: str, done: int, total: int) -> None:
        if done == total:
            folder.mkdir()
            (folder / "theirs").touch()

    synthetic.write(folder, utterances={"train": 5, "dev": 5, "eval": 5}, progress=overtake)
    assert [path.name for path in tmp_path.rglob("*")] == ["corpus", "theirs"]


def test_a_damaged_cache_says_what_to_do(tmp_path: Path) -> None:
    small = {"train": 5, "dev": 5, "eval": 5}
    corpus = synthetic.read(cache=tmp_path, utterances=small)
    corpus.splits["dev"][0].path.unlink()
    with pytest.raises(CorpusError, match="delete that folder to build it again"):
        synthetic.read(cache=tmp_path, utterances=small)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not exist yet"):
        synthetic.write(tmp_path)
    for utterances in ({"train": 10, "dev": 10}, {"train": 10, "dev": 4, "eval": 10}):
        with pytest.raises(ValueError, match="at least 5 for each of train, dev, eval"):
            synthetic.write(tmp_path / "new", utterances=utterances)
    assert list(tmp_path.iterdir()) == []


def test_neither_trivial_nor_hopeless(corpus_cache: Path) -> None:
    corpus = synthetic.read(cache=corpus_cache)
    mel = torchaudio.transforms.MelSpectrogram(16000, 1024, hop_length=512, n_mels=64)
    features, labels = {}, {}
    for split in ("train", "dev"):
        rows = []
        for one in corpus.splits[split]:
            log_mel = torch.log(mel(torch.from_numpy(read_audio(one.path))) + 1e-8)
            log_mel -= log_mel.mean()
            rows.append(torch.cat([log_mel.mean(1), log_mel.std(1)]).numpy())
        features[split], labels[split] = np.stack(rows), np.array([one.label for one in corpus.splits[split]])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
    scores = classifier.fit(features["train"], labels["train"]).decision_function(features["dev"])
    rate, _ = eer(scores[labels["dev"] == 1], scores[labels["dev"] == 0])
    assert 0.03 < rate < 0.35


def test_a_full_disk_is_told_with_the_file_that_did_not_fit(tmp_path: Path) -> None:
    """By itself libsndfile leaves out what does not fit, or says "System error"."""
    said = r"LA_T_1\d+\.flac cannot be written: no space left .*--cache DIR"
    with pytest.raises(DropinError, match=said), full_disk(2_000):
        corpora.read("synthetic", None, cache=tmp_path)
    assert list((tmp_path / "corpora").iterdir()) == []
