"""ASVspoof 5: its lists, its folders, and their faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus_trees import make_asvspoof5
from trainables.corpora import asvspoof5
from trainables.corpora.corpus import CorpusError, Utterance

EVAL = "ASVspoof5.eval.track_1.tsv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_asvspoof5(tmp_path)
    return tmp_path


def faults_of(root: Path) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as info:
        asvspoof5.read(root)
    return info.value.faults


def test_small_tree_exactly(root: Path) -> None:
    corpus = asvspoof5.read(root)
    flac = root.resolve() / "flac_E_eval"
    spoof = {"gender": "F", "codec": "C05", "codec_quality": "3", "attack_tag": "AC1"}
    speech = {"gender": "M", "codec": "C11", "codec_quality": "1", "attack_tag": "-"}
    assert corpus.splits["eval"][::2] == (
        Utterance("E_0000000001", flac / "E_0000000001.flac", 0, "E_0001", "A18", spoof),
        Utterance("E_0000000003", flac / "E_0000000003.flac", 1, "E_0002", "-", speech),
    )
    assert [(one.name, one.attack) for one in corpus.splits["dev"]] == [("D_0000000169", "A14"), ("D_0000000190", "-")]
    assert corpus.splits["train"][0].attack == "A05"


def test_lists_and_folders_lie_in_several_places(root: Path) -> None:
    before = asvspoof5.read(root)
    (root / "ASVspoof5_protocols").mkdir()
    for file in root.glob("*.tsv"):
        shutil.move(file, root / "ASVspoof5_protocols")
    (root / "ASVspoof5_train").mkdir()
    shutil.move(root / "flac_T", root / "ASVspoof5_train" / "flac_T")
    for part, name in (("flac_E_aa", "E_0000000001"), ("flac_E_ab", "E_0000000002"), ("flac_E_ab", "E_0000000003")):
        (root / part / "flac_E_eval").mkdir(parents=True, exist_ok=True)
        shutil.move(root / "flac_E_eval" / f"{name}.flac", root / part / "flac_E_eval")
    after = asvspoof5.read(root)
    assert after.digest() == before.digest()
    assert after.splits["eval"][1].path.parent.parent.name == "flac_E_ab"


def test_folders_of_the_layout_may_be_links(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before, disk = asvspoof5.read(root), tmp_path_factory.mktemp("disk")
    (root / "ASVspoof5_protocols").mkdir()
    for file in root.glob("*.tsv"):
        shutil.move(file, root / "ASVspoof5_protocols")
    for name in ("ASVspoof5_protocols", "flac_T"):
        shutil.move(root / name, disk / name)
        (root / name).symlink_to(disk / name)
    assert asvspoof5.read(root).digest() == before.digest()


def test_eval_may_be_absent_as_a_whole_and_not_in_part(root: Path) -> None:
    shutil.rmtree(root / "flac_E_eval")
    (fault,) = faults_of(root)
    assert fault.endswith("has no flac_E_eval: unpack the audio of the organisers there")
    (root / EVAL).unlink()
    assert asvspoof5.read(root).splits["eval"] == ()
    with pytest.raises(CorpusError, match="has no flac_E_eval"):
        asvspoof5.read(root, splits=("eval",))


def test_all_faults_come_at_once_each_with_its_line(root: Path) -> None:
    with (root / EVAL).open("a") as file:
        file.write("E_1 E_9 F - 0 - AC1 A18 spoof\n\nE_1 E_9 F - 0 - AC1 bonafide spoof -\n")
        file.write("E_1 E_10 F - 0 - AC1 A18 spoof -\n")
    (root / "ASVspoof5.dev.track_1.tsv").write_text("LA_0079 LA_T_1 - - bonafide\n" * 50)
    faults = faults_of(root)
    assert {fault.partition("; got")[0] for fault in faults} == {
        "ASVspoof5.dev.track_1.tsv:1: 5 columns; must be 10 (SPEAKER FILE GENDER CODEC CODEC_QUALITY - ATTACK_TAG "
        "ATTACK KEY -): this is read by --corpus asvspoof2019-la",
        f"{EVAL}:4: 9 columns; must be 10: SPEAKER FILE GENDER CODEC CODEC_QUALITY - ATTACK_TAG ATTACK KEY -",
        f"{EVAL}:6: attack must be - for bonafide and a name for spoof",
        f"{EVAL}:7: flac_E_eval/E_10.flac is missing",
    }


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        asvspoof5.read(tmp_path / "nowhere")
