"""In-the-Wild: its table and its faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_trees import make_in_the_wild
from trainables.corpora import in_the_wild
from trainables.corpora.corpus import CorpusError, Utterance


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_in_the_wild(tmp_path)
    return tmp_path


def test_small_tree_exactly(root: Path) -> None:
    folder = root.resolve() / "release_in_the_wild"
    corpus = in_the_wild.read(root)
    assert corpus.splits == {
        "train": (),
        "dev": (),
        "eval": (
            Utterance("0.wav", folder / "0.wav", 0, "Alec Guinness", "unknown"),
            Utterance("1.wav", folder / "1.wav", 0, "Barack Obama", "unknown"),
            Utterance("2.wav", folder / "2.wav", 1, "Alec Guinness", "-"),
        ),
    }
    assert in_the_wild.read(folder).digest() == corpus.digest()


def test_all_faults_come_at_once_each_with_its_line(root: Path) -> None:
    with (root / "release_in_the_wild" / "meta.csv").open("a") as file:
        file.write('3.wav,"King, Stephen",spoof\n../0.wav,A,spoof\n4.wav,A,unsure\n5.wav,A\n2.wav,A,spoof\n')
    with pytest.raises(CorpusError) as info:
        in_the_wild.read(root)
    meta = "release_in_the_wild/meta.csv"
    assert set(info.value.faults) == {
        f"{meta}:5: release_in_the_wild/3.wav is missing",
        f"{meta}:6: file must be a name without a path; got '../0.wav'",
        f"{meta}:7: label must be bona-fide or spoof; got 'unsure'",
        f"{meta}:8: 2 values; the header has 3: quote values with commas",
        f"{meta}:9: duplicate utterance 2.wav, first in {meta}:4",
    }


def test_a_table_without_the_columns_is_one_fault(root: Path) -> None:
    (root / "release_in_the_wild" / "meta.csv").write_text("file,who\n0.wav,A\n")
    with pytest.raises(CorpusError) as info:
        in_the_wild.read(root)
    (fault,) = info.value.faults
    assert fault.endswith("must have the columns file, speaker, label; it has no speaker, label")


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"meta\.csv: no such"):
        in_the_wild.read(tmp_path)
