"""The digest of a corpus and the error that lists its faults."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.corpus import Corpus, CorpusError, Utterance, content_hash

Factory = pytest.TempPathFactory


def make(folder: Path) -> Corpus:
    folder.mkdir(exist_ok=True)
    for name, size in (("a", 1), ("b", 2), ("c", 3)):
        (folder / name).write_bytes(b"x" * size)
    one = Utterance("a", folder / "a", 1, "s1", "-")
    two = Utterance("b", folder / "b", 0, "s1", "A01")
    three = Utterance("c", folder / "c", 0, "s2", "A02")
    return Corpus("test", folder, {"train": (one, two), "dev": (three,), "eval": ()})


def test_digest_is_the_hash_of_what_it_says(tmp_path: Path) -> None:
    a, b, c = (hashlib.blake2b(b"x" * size, digest_size=32).hexdigest() for size in (1, 2, 3))
    train = f'[["train", "a", 1, "s1", "-", "{a}"], ["train", "b", 0, "s1", "A01", "{b}"]]'
    text = f'{train}[["dev", "c", 0, "s2", "A02", "{c}"]][]'
    assert make(tmp_path).digest() == hashlib.sha256(text.encode()).hexdigest()


def test_contents_that_are_known_are_not_read_again(tmp_path: Path) -> None:
    corpus = make(tmp_path)
    contents = {name: content_hash(tmp_path / name) for name in "abc"}
    known = dataclasses.replace(corpus, contents=contents)
    for name in "abc":
        (tmp_path / name).unlink()
    assert known.digest() == make(tmp_path).digest()


@given(content=st.binary(max_size=40), repeats=st.sampled_from([1, 60_000]))
def test_content_hash_is_that_of_the_whole_file(content: bytes, repeats: int, tmp_path_factory: Factory) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content * repeats)  # up to two of the parts in which it is read
    assert content_hash(path) == hashlib.blake2b(content * repeats, digest_size=32).hexdigest()


def test_digest_is_the_same_elsewhere(tmp_path: Path) -> None:
    assert make(tmp_path / "here").digest() == make(tmp_path / "there").digest()


@pytest.mark.parametrize("change", [{"name": "z"}, {"label": 0}, {"speaker": "s9"}, {"attack": "A09"}])
def test_digest_sees_every_field(tmp_path: Path, change: dict[str, object]) -> None:
    corpus = make(tmp_path)
    first, second = corpus.splits["train"]
    changed = dataclasses.replace(first, **change)  # type: ignore[arg-type]
    other = dataclasses.replace(corpus, splits={**corpus.splits, "train": (changed, second)})
    assert other.digest() != corpus.digest()


def test_digest_sees_order_split_and_content(tmp_path: Path) -> None:
    corpus = make(tmp_path)
    first, second = corpus.splits["train"]
    swapped = dataclasses.replace(corpus, splits={**corpus.splits, "train": (second, first)})
    moved = dataclasses.replace(corpus, splits={"train": (first,), "dev": (second, *corpus.splits["dev"]), "eval": ()})
    before = {corpus.digest(), swapped.digest(), moved.digest()}
    (tmp_path / "b").write_bytes(b"yy")  # of the same size
    assert len({*before, dataclasses.replace(corpus).digest()}) == 4


def test_digest_is_that_of_the_files_as_they_were(tmp_path: Path) -> None:
    corpus = make(tmp_path)
    before = corpus.digest()
    (tmp_path / "a").write_bytes(b"y")
    assert corpus.digest() == before


def test_digest_of_a_file_that_went_away(tmp_path: Path) -> None:
    corpus = make(tmp_path)
    (tmp_path / "b").unlink()
    with pytest.raises(CorpusError, match="changed after it was read"):
        corpus.digest()


def test_error_shows_twenty_faults_and_counts_the_rest() -> None:
    faults = [f"fault {number}" for number in range(25)]
    error = CorpusError("bad corpus", faults)
    assert str(error).splitlines() == ["bad corpus", *(f"  fault {number}" for number in range(20)), "  and 5 more"]
    assert error.faults == tuple(faults)
    assert str(CorpusError("bad corpus", faults[:20])).splitlines()[-1] == "  fault 19"


def test_error_and_corpus_cross_to_other_processes(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(CorpusError("bad corpus", ["one", "two"])))
    assert str(error) == "bad corpus\n  one\n  two"
    corpus = make(tmp_path)
    assert pickle.loads(pickle.dumps(corpus)) == corpus
