"""The cache of features: the front end's features, digests, atomic and concurrent builds."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

import noisy_corpus
from noisy_corpus import MakeCorpus, contents
from trainables import corpora, features
from trainables.audio.reading import read_audio
from trainables.features import extraction, store
from trainables.features.segment import segment
from trainables.features.split import Split

SECONDS = 0.4
SAMPLES = 6400


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """``make_corpus(train=6, dev=4, eval=4, seconds=0.3)``: the number of files of noise in each split."""
    return partial(noisy_corpus.made, tmp_path / "audio")


# Round trip


@pytest.mark.parametrize("front_end", features.NAMES)
def test_the_store_holds_what_the_front_end_computes(make_corpus: MakeCorpus, tmp_path: Path, front_end: str) -> None:
    corpus = make_corpus()
    folder = store.build(corpus, front_end, tmp_path, seconds=SECONDS)
    assert contents(folder) == ["dev.arrow", "settings.json", "train.arrow"]
    assert contents(tmp_path / "features") == [folder.name, *(f"{folder.name}/{name}" for name in contents(folder))]
    transform = features.load(front_end).transform
    for name in ("train", "dev"):
        split = store.open_split(folder, name)
        stored = np.concatenate(split._rows)
        expected = [transform(segment(read_audio(one.path), SAMPLES)) for one in corpus.splits[name]]
        assert (stored == np.stack(expected)).all()
        assert split.labels.tolist() == [one.label for one in corpus.splits[name]]
        assert split.names.tolist() == [one.name for one in corpus.splits[name]]
    assert json.loads((folder / "settings.json").read_text()) == split.settings


def test_random_crop_keeps_further_windows_of_training_utterances_only(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus(train=2, dev=2, seconds=1.0)
    folder = store.build(corpus, "waveform", tmp_path, seconds=SECONDS, random_crop=True)
    train, dev = store.open_split(folder, "train"), store.open_split(folder, "dev")
    audio = read_audio(corpus.splits["train"][1].path)
    assert len(audio) == 16100
    starts = [0, 1600, 3200, 4800, 6400, 8000, 9600, 9700]
    windows = {train.batch([1], np.random.default_rng(seed)).tobytes() for seed in range(100)}
    transform, standardised = features.load("waveform").transform, features.load("waveform").standardised
    assert windows == {standardised(transform(segment(audio, SAMPLES, start))).tobytes() for start in starts}
    assert train.batch([1]).tobytes() == standardised(transform(segment(audio, SAMPLES))).tobytes()
    assert sum(len(rows) for rows in dev._rows) == len(dev) == 2


def test_progress_goes_from_none_to_all_of_each_split(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    store.build(make_corpus(train=40), "lfcc", tmp_path, seconds=SECONDS, progress=lambda *step: steps.append(step))
    train, dev = "lfcc features of train", "lfcc features of dev"
    assert steps == [(train, 0, 40), (train, 32, 40), (train, 40, 40), (dev, 0, 4), (dev, 4, 4)]


def test_a_real_corpus_is_built(mini_la: Path, tmp_path: Path) -> None:
    corpus = corpora.read("asvspoof2019-la", mini_la, cache=tmp_path)
    folder = store.build(corpus, "log_mel", tmp_path, splits=["dev"])
    split = store.open_split(folder, "dev")
    assert len(split) == 235
    assert split.labels.sum() == 90
    assert split.shape == (1, 64, 126)
    batch = split.batch(range(235))
    np.testing.assert_allclose(batch.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(batch.std(axis=(1, 2, 3)), 1, atol=1e-4)


# Digest


def test_the_digest_depends_on_settings_and_corpus(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus(train=2, dev=2)
    train = corpus.splits["train"]
    reordered = replace(corpus, splits={**corpus.splits, "train": train[::-1]})
    relabelled = replace(corpus, splits={**corpus.splits, "train": tuple(replace(one, label=1) for one in train)})
    folders = [
        store.build(corpus, "log_mel", tmp_path, seconds=SECONDS),
        store.build(corpus, "lfcc", tmp_path, seconds=SECONDS),
        store.build(corpus, "log_mel", tmp_path, seconds=0.5),
        store.build(corpus, "log_mel", tmp_path, seconds=SECONDS, random_crop=True),
        store.build(reordered, "log_mel", tmp_path, seconds=SECONDS),
        store.build(relabelled, "log_mel", tmp_path, seconds=SECONDS),
    ]
    assert len(set(folders)) == len(folders)
    renamed = replace(corpus, name="other", root=Path("/elsewhere"))
    assert store.build(renamed, "log_mel", tmp_path, seconds=SECONDS) == folders[0]


def test_another_version_has_another_digest(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(train=2, dev=2)
    before = store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    assert store.build(corpus, "log_mel", tmp_path, seconds=SECONDS) != before


def test_other_audio_of_the_same_size_gets_other_features(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus()
    before = store.build(corpus, "waveform", tmp_path, seconds=SECONDS)
    rng = np.random.default_rng(1)
    for one in corpus.splits["train"]:
        status = one.path.stat()
        soundfile.write(one.path, rng.uniform(-0.5, 0.5, soundfile.info(one.path).frames), 16000)
        os.utime(one.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert one.path.stat().st_size == status.st_size
    after = store.build(replace(corpus), "waveform", tmp_path, seconds=SECONDS)
    assert after != before
    old, new = (store.open_split(folder, "train").batch([0]) for folder in (before, after))
    assert (old != new).any()


# Cached, interrupted and concurrent builds


def test_cached_splits_are_not_built_again_and_eval_only_on_request(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus()
    folder = store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    before = {path.name: path.stat().st_ino for path in folder.glob("*.arrow")}
    with pytest.raises(
        ValueError, match=r"features of eval must be built before they are opened; there is no .*eval\.arrow"
    ):
        store.open_split(folder, "eval")
    tasks: list[str] = []
    splits = ("train", "dev", "eval")

    def record(task: str, done: int, total: int) -> None:
        tasks.append(task)

    store.build(corpus, "log_mel", tmp_path, splits=splits, seconds=SECONDS, progress=record)
    assert set(tasks) == {"log_mel features of eval"}
    assert len(store.open_split(folder, "eval")) == 4
    assert {name: (folder / name).stat().st_ino for name in before} == before


@pytest.mark.parametrize("damaged", [b"", b"ARROW1\0\0 and no more", None])
def test_a_damaged_file_is_built_again(make_corpus: MakeCorpus, tmp_path: Path, damaged: bytes | None) -> None:
    corpus = make_corpus()
    folder = store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    whole = store.open_split(folder, "train").batch(range(6))
    path = folder / "train.arrow"
    path.write_bytes(path.read_bytes()[:-100] if damaged is None else damaged)
    store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    assert (store.open_split(folder, "train").batch(range(6)) == whole).all()


def test_a_file_with_other_settings_is_built_again(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus()
    folder = store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    other = store.build(corpus, "log_mel", tmp_path, seconds=0.5)
    (other / "train.arrow").replace(folder / "train.arrow")
    store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    assert store.open_split(folder, "train").settings["samples"] == SAMPLES


@pytest.mark.parametrize(("interrupted", "left"), [("train", []), ("dev", ["settings.json", "train.arrow"])])
def test_an_interrupted_build_leaves_no_incomplete_split(
    make_corpus: MakeCorpus, tmp_path: Path, interrupted: str, left: list[str]
) -> None:
    corpus = make_corpus(train=40, dev=40)

    def interrupt(what: str, done: int, total: int) -> None:
        if what.endswith(interrupted) and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.build(corpus, "log_mel", tmp_path, seconds=SECONDS, progress=interrupt)
    found = contents(tmp_path / "features")
    assert [path.rpartition("/")[2] for path in found if "/" in path] == left
    assert not [path for path in found if path.startswith(".")]
    folder = store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
    assert len(store.open_split(folder, "train")) == len(store.open_split(folder, "dev")) == 40


def test_concurrent_builds_both_end(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus()
    folders: list[Path] = []

    def build_meanwhile(what: str, done: int, total: int) -> None:
        if not folders:
            folders.append(Path())
            folders[0] = store.build(corpus, "log_mel", tmp_path, seconds=SECONDS)
            mapped.append(store.open_split(folders[0], "train"))

    mapped: list[Split] = []
    assert store.build(corpus, "log_mel", tmp_path, seconds=SECONDS, progress=build_meanwhile) == folders[0]
    assert contents(folders[0]) == ["dev.arrow", "settings.json", "train.arrow"]
    again = store.open_split(folders[0], "train")
    assert (mapped[0].batch(range(6)) == again.batch(range(6))).all()


def test_temporary_folders_of_killed_builds_are_deleted_once_stale(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    old, fresh = (tmp_path / "features" / f".building-{name}" for name in ("old", "fresh"))
    long_ago = time.time() - 2 * store.STALE_SECONDS
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "train.arrow").write_bytes(b"half")
    os.utime(old / "train.arrow", (long_ago, long_ago))
    for folder in (old, fresh):
        os.utime(folder, (long_ago, long_ago))
    store.build(make_corpus(), "log_mel", tmp_path, seconds=SECONDS)
    assert not old.exists()
    assert (fresh / "train.arrow").exists()


# Number of processes


@pytest.mark.parametrize(
    ("seconds", "cpus", "workers"), [(3.9, 2, 1), (4.1, 2, 2), (4.1, 16, 16), (0.0, 16, 1), (99, 1, 1)]
)
def test_processes_are_started_where_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: float, cpus: int, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    assert extraction._worthwhile_workers(seconds) == workers


# Bad input


def test_bad_arguments_are_refused(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    corpus = make_corpus(eval=0)
    with pytest.raises(ValueError, match=r"has \(train, dev\); got 'eval'"):
        store.build(corpus, "log_mel", tmp_path, splits=["train", "eval"])
    with pytest.raises(ValueError, match="workers must be at least 1; got 0"):
        store.build(corpus, "log_mel", tmp_path, workers=0)
    with pytest.raises(ValueError, match="front end must be one of"):
        store.build(corpus, "mfcc", tmp_path)
    with pytest.raises(ValueError, match="a segment must last"):
        store.build(corpus, "log_mel", tmp_path, seconds=0.01)
    assert contents(tmp_path / "features") == []
