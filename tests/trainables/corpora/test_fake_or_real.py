"""FakeOrReal: its folders in every shape they come in, and their faults."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpus_trees import FAKE_OR_REAL_PARTS, fake_or_real_tree
from trainables.audio.reading import read_audio
from trainables.corpora import fake_or_real
from trainables.corpora.corpus import SPLITS, CorpusError, Utterance
from trainables.corpora.tally import Tally

SHAPES = [
    ("original", "for-original/for-original"),
    ("norm", "for-norm/for-norm"),
    ("2sec", "for-2sec/for-2seconds"),
    ("rerec", "for-rerec/for-rerecorded"),
]


@pytest.mark.parametrize(("variant", "inner"), SHAPES)
@pytest.mark.parametrize("above", [0, 1, 2])
def test_variants_from_every_level(tmp_path: Path, variant: str, inner: str, above: int) -> None:
    folder = fake_or_real_tree(tmp_path / inner).resolve()
    root = (folder, *folder.parents)[above]
    corpus = fake_or_real.read(root, variant=variant)
    assert corpus.name == f"fake-or-real-{variant}"
    assert {split: len(utterances) for split, utterances in corpus.splits.items()} == dict(train=4, dev=4, eval=4)
    assert corpus.splits["dev"][::2] == (
        Utterance("validation/real/file10.wav", folder / "validation/real/file10.wav", 1, "-", "-"),
        Utterance("validation/fake/file10.wav", folder / "validation/fake/file10.wav", 0, "-", "fake"),
    )


def test_variants_side_by_side_are_told_apart(tmp_path: Path) -> None:
    for _, inner in SHAPES:
        fake_or_real_tree(tmp_path / inner)
    for variant, inner in SHAPES:
        path = fake_or_real.read(tmp_path, variant=variant).splits["train"][0].path
        assert path.is_relative_to(tmp_path.resolve() / inner)


def test_the_folder_of_another_variant_is_refused(tmp_path: Path) -> None:
    fake_or_real_tree(tmp_path / "for-original" / "for-original")
    with pytest.raises(CorpusError, match=r"is not the variant norm \(for-norm\)"):
        fake_or_real.read(tmp_path / "for-original", variant="norm")
    with pytest.raises(CorpusError, match="neither it nor a folder in it has training, validation, testing"):
        fake_or_real.read(tmp_path, variant="norm")


def test_another_variant_is_not_taken_for_an_inner_folder(tmp_path: Path) -> None:
    fake_or_real_tree(tmp_path / "for-original")
    with pytest.raises(CorpusError, match="neither it nor a folder in it has training, validation, testing"):
        fake_or_real.read(tmp_path, variant="norm")


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    corpus = fake_or_real.read(fake_or_real_tree(tmp_path / "for-original", rate=44100), variant="original")
    assert len(read_audio(corpus.splits["train"][0].path)) == 160


def test_what_is_no_audio_is_left_alone(tmp_path: Path) -> None:
    inner = fake_or_real_tree(tmp_path / "for-norm")
    (inner / "training" / "real" / "._file2.wav").write_text("twin")
    (inner / "training" / "real" / "notes.txt").write_text("notes")
    (inner / "training" / "real" / "file3.WAV").write_bytes((inner / "training" / "real" / "file2.wav").read_bytes())
    names = [one.path.name for one in fake_or_real.read(tmp_path).splits["train"] if one.label == 1]
    assert names == ["file10.wav", "file2.wav", "file3.WAV"]


def test_testing_may_be_absent(tmp_path: Path) -> None:
    fake_or_real_tree(tmp_path / "for-norm", FAKE_OR_REAL_PARTS[:2])
    assert fake_or_real.read(tmp_path).splits["eval"] == ()


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    inner = fake_or_real_tree(tmp_path / "for-norm", ("training", "testing"))
    (inner / "training" / "real" / "file2.wav").write_bytes(b"")
    for file in (inner / "testing" / "fake").iterdir():
        file.unlink()
    with pytest.raises(CorpusError) as info:
        fake_or_real.read(tmp_path)
    assert set(info.value.faults) == {
        "for-norm/validation/real: no such folder",
        "for-norm/validation/fake: no such folder",
        "dev: a split needs both classes; it has no bona fide and no spoof utterance",
        "eval: a split needs both classes; it has no spoof utterance",
        "for-norm/training/real/file2.wav: is empty",
    }


def test_several_inner_folders_are_ambiguous(tmp_path: Path) -> None:
    fake_or_real_tree(tmp_path / "for-norm" / "one")
    fake_or_real_tree(tmp_path / "for-norm" / "two")
    with pytest.raises(CorpusError, match="several folders have training; give one of one, two as root"):
        fake_or_real.read(tmp_path)


def test_original_as_its_authors_ship_it(tmp_path: Path) -> None:
    """Ten bona fide WAVs and ten spoofs a split, of which nine are MP3."""
    inner = tmp_path / "for-original" / "for-original"
    for part in FAKE_OR_REAL_PARTS:
        for kind, number, suffix in [("real", n, "wav") for n in range(10)] + [("fake", n, "mp3") for n in range(9)]:
            path = inner / part / kind / f"file{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.zeros(100), 16000)
        soundfile.write(inner / part / "fake" / "file9.wav", np.zeros(100), 16000)
    corpus = fake_or_real.read(tmp_path, variant="original")
    for split in SPLITS:
        assert Counter(one.label for one in corpus.splits[split]) == {0: 10, 1: 10}
        assert f"{split}: bona fide 10 found, 10 read; spoof 10 found, 10 read" in corpus.notes
    assert sum(one.path.suffix == ".mp3" for one in corpus.splits["train"]) == 9
    for path in inner.glob("*/fake/*.mp3"):
        path.rename(path.with_suffix(".M4A"))
    with pytest.raises(CorpusError) as info:
        fake_or_real.read(tmp_path, variant="original")
    assert [fault.partition(":")[0] for fault in info.value.faults] == list(SPLITS)
    assert "0.0% of bona fide and 90.0% of spoof are left out: convert these files" in info.value.faults[0]
    left = fake_or_real.read(tmp_path, variant="original", skip_bad_files=True)
    assert left.counts["dev"]["spoof"] == Tally(1, {".m4a, which libsndfile does not read": 9})
    (note, *_) = left.notes
    assert note == (
        "for-original/for-original/training/fake: files .m4a: 9, left out, since libsndfile does not read them"
    )


def test_folders_that_an_archive_of_macos_has_beside(tmp_path: Path) -> None:
    fake_or_real_tree(tmp_path / "for-norm" / "for-norm")
    fake_or_real_tree(tmp_path / "for-norm" / "__MACOSX")
    fake_or_real_tree(tmp_path / "for-norm" / ".hidden")
    assert len(fake_or_real.read(tmp_path).splits["train"]) == 4


def test_folders_in_capitals(tmp_path: Path) -> None:
    inner = fake_or_real_tree(tmp_path / "For-Norm")
    before = fake_or_real.read(inner)
    for part in FAKE_OR_REAL_PARTS:
        (inner / part / "real").rename(inner / part / "Real")
        (inner / part / "fake").rename(inner / part / "FAKE")
        (inner / part).rename(inner / part.capitalize())
    after = fake_or_real.read(tmp_path)
    assert after.digest() == before.digest()
    assert after.splits["train"][0].path.is_file()


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="variant must be one of original, norm, 2sec, rerec; got 'normal'"):
        fake_or_real.read(tmp_path, variant="normal")
    with pytest.raises(CorpusError, match="no such folder"):
        fake_or_real.read(tmp_path / "nowhere")
