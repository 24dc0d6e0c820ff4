"""Corpora behind symbolic links: folders of the layout are followed, files only within them or where that is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asvspoof_tree import make_tree
from corpus_trees import fake_or_real_tree
from trainables.corpora import asvspoof2019, fake_or_real
from trainables.corpora.corpus import Corpus, CorpusError
from trainables.corpora.reading.file_checks import OUTSIDE

TRAINING = "ASVspoof2019_LA_train/flac"
PROTOCOL = "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt"
SCORES = "ASVspoof2019_LA_asv_scores/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"


def replaced_by_link(path: Path, target: Path) -> None:
    """Move a file or folder away and leave a link to it."""
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    path.symlink_to(target)


def tree_with_scores(root: Path) -> Path:
    make_tree(root)
    (root / "LA" / SCORES).parent.mkdir()
    (root / "LA" / SCORES).touch()
    assert asvspoof2019.read(root).asv_scores
    return root


def fault_of(read: Callable[[], Corpus]) -> str:
    with pytest.raises(CorpusError) as info:
        read()
    (fault,) = info.value.faults
    return fault


@pytest.mark.parametrize(
    "name",
    ["LA", f"LA/{TRAINING}", "LA/ASVspoof2019_LA_train", *(f"LA/{file.split('/')[0]}" for file in (PROTOCOL, SCORES))],
)
def test_folders_may_be_links_to_a_data_disk(name: str, tmp_path: Path) -> None:
    root = tree_with_scores(tmp_path / "corpus")
    before = asvspoof2019.read(root)
    replaced_by_link(root / name, tmp_path / "outside" / "it")
    after = asvspoof2019.read(root)
    assert after == before
    assert after.digest() == before.digest()


@pytest.mark.parametrize("name", ["for-norm", "for-norm/training", "for-norm/training/real"])
def test_folders_of_classes_may_be_links(name: str, tmp_path: Path) -> None:
    fake_or_real_tree(tmp_path / "corpus" / "for-norm")
    before = fake_or_real.read(tmp_path / "corpus")
    replaced_by_link(tmp_path / "corpus" / name, tmp_path / "outside" / "it")
    assert fake_or_real.read(tmp_path / "corpus") == before


@pytest.mark.parametrize("name", [f"{TRAINING}/LA_T_1.flac", PROTOCOL, SCORES])
def test_files_that_are_links_out_of_their_folder_are_followed_where_asked(name: str, tmp_path: Path) -> None:
    root = tree_with_scores(tmp_path / "corpus")
    before = asvspoof2019.read(root)
    replaced_by_link(root / "LA" / name, tmp_path / "outside" / "it")
    fault = fault_of(lambda: asvspoof2019.read(root))
    assert fault.endswith(OUTSIDE)
    assert name in fault
    assert "--follow-links" in fault
    assert asvspoof2019.read(root, follow_links=True) == before


def test_files_of_classes_likewise(tmp_path: Path) -> None:
    inner = fake_or_real_tree(tmp_path / "corpus" / "for-norm")
    before = fake_or_real.read(inner)
    replaced_by_link(inner / "training/real/file2.wav", tmp_path / "outside" / "it")
    assert fault_of(lambda: fake_or_real.read(inner)) == f"training/real/file2.wav: {OUTSIDE}"
    assert fake_or_real.read(inner, follow_links=True) == before


def test_a_folder_that_is_followed_opens_no_other(tmp_path: Path) -> None:
    """The folder of dev is a link to one outside; a file of train that is a link to there still leaves its folder."""
    tree = make_tree(tmp_path / "corpus") / "LA"
    replaced_by_link(tree / "ASVspoof2019_LA_dev" / "flac", tmp_path / "outside" / "dev")
    (tree / TRAINING / "LA_T_1.flac").rename(tmp_path / "outside" / "dev" / "more.flac")
    (tree / TRAINING / "LA_T_1.flac").symlink_to(tmp_path / "outside" / "dev" / "more.flac")
    assert fault_of(lambda: asvspoof2019.read(tmp_path / "corpus")).endswith(OUTSIDE)
    own = tree / "ASVspoof2019_LA_dev" / "flac" / "LA_D_1.flac"
    replaced_by_link(own, tmp_path / "outside" / "dev" / "LA_D_9.flac")
    assert fault_of(lambda: asvspoof2019.read(tmp_path / "corpus")).endswith(OUTSIDE)


def test_links_within_the_root_and_to_it_are_followed(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "corpus")
    before = asvspoof2019.read(root)
    replaced_by_link(root / "LA" / TRAINING / "LA_T_1.flac", root / "store" / "one.flac")
    replaced_by_link(root / "LA" / "ASVspoof2019_LA_dev", root / "store" / "dev")
    (tmp_path / "link").symlink_to(root)
    after = asvspoof2019.read(tmp_path / "link")
    assert after.digest() == before.digest()


def test_a_link_to_nowhere_is_a_missing_file(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "corpus") / "LA"
    (tree / TRAINING / "LA_T_1.flac").unlink()
    (tree / TRAINING / "LA_T_1.flac").symlink_to("gone.flac")
    assert fault_of(lambda: asvspoof2019.read(tmp_path / "corpus")).endswith(f"{TRAINING}/LA_T_1.flac is missing")
