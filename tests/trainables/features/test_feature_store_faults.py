"""Files without usable audio: all reported at once, and up to 1 % left out on request."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

import noisy_corpus
from full_disk import full_disk
from noisy_corpus import MakeCorpus, contents, damage
from trainables.corpora.corpus import CorpusError
from trainables.errors import DropinError
from trainables.features import store

SECONDS = 0.4


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """``make_corpus(train=6, dev=4, eval=4, seconds=0.3)``: the number of files of noise in each split."""
    return partial(noisy_corpus.made, tmp_path / "audio")


def test_all_bad_files_are_reported_at_once(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus()
    damage(corpus, "train", 1, 4)
    damage(corpus, "dev", 3)
    soundfile.write(corpus.splits["dev"][0].path, np.full(8000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(CorpusError) as error:
        store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    assert len(error.value.faults) == 4
    for fault, name in zip(error.value.faults, ("train_1", "train_4", "dev_0", "dev_3"), strict=True):
        assert f"{name}.wav" in fault
    assert contents(tmp_path / "features") == []


def test_samples_that_overflow_are_a_bad_file(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus()
    soundfile.write(corpus.splits["train"][2].path, np.tile([1e30, -1e30], 4000), 16000, subtype="FLOAT")
    with pytest.raises(CorpusError, match=r"features must be finite; .*train_2\.wav"):
        store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)


def test_one_percent_of_bad_files_can_be_left_out(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus(train=150, dev=46)
    damage(corpus, "train", 7)
    folder = store.build(corpus, "waveform", tmp_path, seconds=0.1, skip_bad_files=True)
    split = store.open_split(folder, "train")
    assert len(split) == 149
    assert "train_7" not in split.names
    assert len(split.skipped) == 1
    assert "train_7.wav" in split.skipped[0]
    assert store.open_split(folder, "dev").skipped == ()
    # A build that skips nothing reports the skipped file, though the features are cached.
    with pytest.raises(CorpusError, match=r"train_7\.wav"):
        store.build(corpus, "waveform", tmp_path, seconds=0.1)
    assert store.build(corpus, "waveform", tmp_path, seconds=0.1, skip_bad_files=True) == folder


def test_more_than_one_percent_is_refused_all_splits_and_reading_together(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    corpus = make_corpus(train=150, dev=46)
    damage(corpus, "train", 7)
    damage(corpus, "dev", 5)
    assert store.build(corpus, "waveform", tmp_path, seconds=0.1, skip_bad_files=True)
    another = replace(corpus, skipped=("missing.wav: is missing",))
    with pytest.raises(CorpusError, match="more than 1% of 201"):
        store.build(another, "waveform", tmp_path / "other", seconds=0.1, skip_bad_files=True)


def test_skipping_must_leave_both_classes(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus(train=150, dev=2)
    damage(corpus, "dev", 1)
    with pytest.raises(CorpusError, match="dev has one class without them"):
        store.build(corpus, "waveform", tmp_path, seconds=0.1, skip_bad_files=True)


@pytest.mark.parametrize("front_end", ["log_mel", "waveform"])
def test_a_full_disk_is_told_with_the_file_that_did_not_fit(
    front_end: str, make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    corpus = make_corpus()
    said = r"train\.arrow cannot be written: no space left .*--cache DIR"
    with pytest.raises(DropinError, match=said), full_disk(2_000):
        store.build(corpus, front_end, tmp_path, seconds=SECONDS, workers=1)
    assert contents(tmp_path / "features") == []


def test_a_cache_that_cannot_be_written_is_told(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(prefix: str, dir: Path) -> None:
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    with pytest.raises(DropinError, match="features cannot be written: not writable"):
        store.build(make_corpus(), "log_mel", tmp_path, seconds=SECONDS)
