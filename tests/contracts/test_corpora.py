"""What every corpus keeps to, whatever it is made of."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import corpus_trees
from trainables import corpora
from trainables.audio.reading import read_audio
from trainables.corpora.corpus import SPLITS, Corpus, CorpusError
from trainables.corpora.options import CorpusOptions

Read = Callable[..., Corpus]


def write_audio(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, rng.uniform(-0.5, 0.5, 800), 16000)


def make_asvspoof2019(root: Path, variant: str) -> None:
    rng = np.random.default_rng(0)
    for split, file in {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}.items():
        lines = []
        for number in range(6):
            name = f"{variant}_{split[0].upper()}_{number}"
            environment, attack = ("abc", "AB") if variant == "PA" else ("-", "A01")
            kind = f"{attack} spoof" if number % 3 else "- bonafide"
            lines.append(f"{variant}_{number // 3:04d} {name} {environment} {kind}\n")
            write_audio(root / variant / f"ASVspoof2019_{variant}_{split}" / "flac" / f"{name}.flac", rng)
        protocol = root / variant / f"ASVspoof2019_{variant}_cm_protocols" / f"ASVspoof2019.{variant}.cm.{file}.txt"
        protocol.parent.mkdir(exist_ok=True)
        protocol.write_text("".join(lines))


def make_fake_or_real(root: Path, folder: str) -> None:
    rng = np.random.default_rng(0)
    for part in ("training", "validation", "testing"):
        for kind in ("real", "fake"):
            for number in range(3):
                write_audio(root / folder / folder / part / kind / f"file{number}.wav", rng)


MAKERS: dict[str, Callable[[Path], None]] = {
    "asvspoof2019-la": lambda root: make_asvspoof2019(root, "LA"),
    "asvspoof2019-pa": lambda root: make_asvspoof2019(root, "PA"),
    "fake-or-real": lambda root: make_fake_or_real(root, "for-norm"),
    "fake-or-real-original": lambda root: make_fake_or_real(root, "for-original"),
    "fake-or-real-norm": lambda root: make_fake_or_real(root, "for-norm"),
    "fake-or-real-2sec": lambda root: make_fake_or_real(root, "for-2sec"),
    "fake-or-real-rerec": lambda root: make_fake_or_real(root, "for-rerec"),
    "asvspoof2021-la": corpus_trees.make_asvspoof2021_la,
    "asvspoof2021-df": corpus_trees.make_asvspoof2021_df,
    "asvspoof5": corpus_trees.make_asvspoof5,
    "in-the-wild": corpus_trees.make_in_the_wild,
    "mlaad": corpus_trees.make_mlaad,
    "wavefake": corpus_trees.make_wavefake,
    "manifest": corpus_trees.make_manifest,
}


@pytest.fixture(scope="module", params=corpora.NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Read]:
    """A corpus by name, and a function that reads it."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    if name == "demo":
        cache = os.environ.get("DROPIN_DEMO_CACHE", "")
        if not cache or not Path(cache).is_dir():
            pytest.skip("building demo takes minutes; point DROPIN_DEMO_CACHE at a cache that holds it")
        return name, lambda: corpora.read(name, None, cache=Path(cache))
    if corpora.is_built(name):
        cached = request.getfixturevalue("corpus_cache")
        return name, lambda: corpora.read(name, None, cache=cached)
    root = folder / "root"
    MAKERS[name](root)
    options = CorpusOptions(bonafide_root=root / corpus_trees.M_AILABS if name == "mlaad" else None)
    given = root / corpus_trees.MANIFEST if name == "manifest" else root
    return name, lambda **more: corpora.read(name, given, cache=folder / "cache", options=options, **more)


@pytest.fixture(scope="module")
def corpus(case: tuple[str, Read]) -> Corpus:
    return case[1]()


def test_module_reads_by_the_common_arguments(case: tuple[str, Read]) -> None:
    module = corpora.load(case[0])
    assert module.__doc__
    parameters = inspect.signature(module.read).parameters
    assert next(iter(parameters)) == "root"
    assert {"cache", "skip_bad_files", "progress"} <= set(parameters)


def test_name_root_and_splits(case: tuple[str, Read], corpus: Corpus) -> None:
    assert corpus.name == {"fake-or-real": "fake-or-real-norm"}.get(case[0], case[0])
    assert corpus.root.is_absolute()
    assert tuple(corpus.splits) == SPLITS
    assert corpus.skipped == ()


def test_utterances(corpus: Corpus) -> None:
    for split in _splits_of(corpus):
        assert {one.label for one in corpus.splits[split]} == {0, 1}
        for one in corpus.splits[split]:
            assert one.path.is_absolute()
            assert one.path.is_relative_to(corpus.root)
            assert one.path.is_file()
            assert (one.attack == "-") == (one.label == 1)
            assert one.speaker
    everyone = [one for split in SPLITS for one in corpus.splits[split]]
    assert len({one.name for one in everyone}) == len(everyone)
    assert len({one.path for one in everyone}) == len(everyone)


def test_what_is_asked_for_is_read_and_no_more(case: tuple[str, Read], corpus: Corpus) -> None:
    if corpora.is_built(case[0]):
        return  # its splits are cheap to give
    alone = case[1](splits=("eval",))
    assert alone.splits == {"train": (), "dev": (), "eval": corpus.splits["eval"]}
    if corpora.is_eval_only(case[0]):
        with pytest.raises(CorpusError, match=r"has no train and no dev, only eval: evaluate on that"):
            case[1](splits=("train", "dev"))


def test_utterances_of_a_corpus_have_the_same_conditions(corpus: Corpus) -> None:
    everyone = [one for split in SPLITS for one in corpus.splits[split]]
    assert len({tuple(one.conditions) for one in everyone}) == 1
    assert all(isinstance(value, str) and value for one in everyone for value in one.conditions.values())


def test_audio_of_both_classes(corpus: Corpus) -> None:
    for label in (0, 1):
        one = next(one for one in corpus.splits[_splits_of(corpus)[0]] if one.label == label)
        audio = read_audio(one.path)
        assert audio.dtype == np.float32
        assert audio.ndim == 1
        assert 0 < np.abs(audio).max() <= 1


def test_reading_again_gives_the_same(case: tuple[str, Read], corpus: Corpus) -> None:
    again = case[1]()
    assert again == corpus
    assert again.digest() == corpus.digest()
    assert len(bytes.fromhex(corpus.digest())) == 32


def test_digest_sees_a_missing_utterance(corpus: Corpus) -> None:
    split = _splits_of(corpus)[0]
    fewer = dataclasses.replace(corpus, splits={**corpus.splits, split: corpus.splits[split][1:]})
    assert fewer.digest() != corpus.digest()


def _splits_of(corpus: Corpus) -> tuple[str, ...]:
    """The splits that a corpus must have."""
    eval_only = corpora.is_eval_only(corpus.name)
    if eval_only:
        assert corpus.splits["train"] == corpus.splits["dev"] == ()
    return ("eval",) if eval_only else SPLITS
