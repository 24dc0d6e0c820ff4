"""The official tree: what is read from it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from asvspoof_tree import TRAIN, counts, list_of, make_tree
from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import Corpus, Utterance


def test_small_tree_exactly(tmp_path: Path) -> None:
    corpus = asvspoof2019.read(make_tree(tmp_path))
    train = tmp_path.resolve() / "LA" / "ASVspoof2019_LA_train" / "flac"
    assert corpus.name == "asvspoof2019-la"
    assert corpus.root == tmp_path.resolve()
    assert corpus.splits["train"] == (
        Utterance("LA_T_1", train / "LA_T_1.flac", 1, "LA_0001", "-"),
        Utterance("LA_T_2", train / "LA_T_2.flac", 0, "LA_0002", "A01"),
    )
    assert counts(corpus) == {"train": (1, 1), "dev": (1, 1), "eval": (1, 1)}
    assert (corpus.skipped, corpus.asv_scores, corpus.note) == ((), {}, "")


def test_physical_access(tmp_path: Path) -> None:
    corpus = asvspoof2019.read(make_tree(tmp_path, "PA"), variant="PA")
    assert corpus.name == "asvspoof2019-pa"
    assert [one.attack for one in corpus.splits["eval"]] == ["-", "BC"]


def test_counts_of_the_small_real_corpus(mini_la: Path) -> None:
    corpus = asvspoof2019.read(mini_la)
    assert counts(corpus) == {"train": (210, 340), "dev": (90, 145), "eval": (90, 150)}
    attacks = Counter(one.attack for one in corpus.splits["train"])
    assert attacks == {"-": 210, "A01": 60, "A02": 60, "A03": 60, "A04": 60, "A05": 40, "A06": 60}
    speakers = {split: {one.speaker for one in utterances} for split, utterances in corpus.splits.items()}
    assert speakers["train"] == speakers["dev"]
    assert not speakers["train"] & speakers["eval"]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("LA", {"train": (2580, 22800), "dev": (2548, 22296), "eval": (7355, 63882)}),
        ("PA", {"train": (5400, 48600), "dev": (5400, 24300), "eval": (18090, 116640)}),
    ],
)
def test_counts_of_the_official_corpus(variant: str, expected: dict[str, tuple[int, int]]) -> None:
    place = os.environ.get("DROPIN_ASVSPOOF2019", "")
    if not place or not (Path(place) / variant).is_dir():
        pytest.skip(f"point DROPIN_ASVSPOOF2019 at the folder above the official {variant} to count it")
    assert counts(asvspoof2019.read(Path(place), variant=variant)) == expected


def test_root_may_be_the_tree_itself(tmp_path: Path) -> None:
    make_tree(tmp_path)
    above, itself = asvspoof2019.read(tmp_path), asvspoof2019.read(tmp_path / "LA")
    assert above.splits == itself.splits
    assert above.digest() == itself.digest()


def test_relative_root_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    corpus = asvspoof2019.read(Path("."))
    assert all(one.path.is_absolute() for one in corpus.splits["dev"])


def test_wav_stands_in_for_flac(tmp_path: Path) -> None:
    corpus = asvspoof2019.read(make_tree(tmp_path, suffix="wav"))
    assert {one.path.suffix for one in corpus.splits["train"]} == {".wav"}


def test_windows_line_ends_blank_lines_and_byte_order_marks_are_no_faults(tmp_path: Path) -> None:
    before = asvspoof2019.read(make_tree(tmp_path))
    path = list_of(tmp_path / "LA", "train")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert asvspoof2019.read(tmp_path).splits == before.splits


def test_files_that_no_protocol_lists_are_left_alone(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "LA" / "ASVspoof2019_LA_dev" / "flac" / "LA_D_99.flac").write_text("no audio")
    assert counts(asvspoof2019.read(tmp_path))["dev"] == (1, 1)


def test_eval_may_be_absent_as_a_whole(tmp_path: Path) -> None:
    assert asvspoof2019.read(make_tree(tmp_path, splits=("train", "dev"))).splits["eval"] == ()


def test_scores_of_speaker_verification(tmp_path: Path) -> None:
    make_tree(tmp_path)
    path = tmp_path.resolve() / "LA" / "ASVspoof2019_LA_asv_scores" / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
    path.parent.mkdir()
    path.touch()
    assert asvspoof2019.read(tmp_path).asv_scores == {"eval": path}


def changed(root: Path, change: Callable[[str], str]) -> Corpus:
    """The corpus with another train protocol."""
    path = list_of(root / "LA", "train")
    path.write_text(change(path.read_text()))
    return asvspoof2019.read(root)


HEADER = "speaker_id file_name environment system_id key\n"
FORMS: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "capitals": (lambda text: text.replace("bonafide", "BONAFIDE"), ["BONAFIDE read as bona fide"]),
    "hyphens": (lambda text: text.replace("bonafide", "bona-fide"), ["bona-fide read as bona fide"]),
    "words": (
        lambda text: text.replace("bonafide", "genuine").replace("spoof", "fake"),
        ["genuine read as bona fide", "fake read as spoof"],
    ),
    "suffixes": (
        lambda text: text.replace(" -", ".flac -", 1),
        ["file names with a folder or suffix: 1, read without"],
    ),
    "folders": (
        lambda text: text.replace("LA_T", "flac/LA_T"),
        ["file names with a folder or suffix: 2, read without"],
    ),
    "Windows": (lambda text: text.replace("LA_T", "x\\LA_T"), ["file names with a folder or suffix: 2, read without"]),
    "header": (lambda text: HEADER + text, ["its first line is a header, and left out"]),
    "commas": (lambda text: text.replace(" ", ","), ["its columns are separated by commas, and read so"]),
    "quotes": (
        lambda text: (HEADER + text).replace(" ", '","').replace("\n", '"\n'),
        ["its columns are separated by commas, and read so", "its first line is a header, and left out"],
    ),
    "semicolons": (lambda text: text.replace(" ", " ; "), ["its columns are separated by semicolons, and read so"]),
    "tabs": (lambda text: text.replace(" ", "\t"), []),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_people_have_is_read_and_noted_once(tmp_path: Path, form: str) -> None:
    before = asvspoof2019.read(make_tree(tmp_path))
    assert before.notes[0] == "train: bona fide 1 found, 1 read; spoof 1 found, 1 read"
    change, notes = FORMS[form]
    after = changed(tmp_path, change)
    assert after.splits == before.splits
    assert after.notes == (*(f"{TRAIN}: {note}" for note in notes), *before.notes)


def test_spoofs_without_an_attack_have_one_unknown_attack(tmp_path: Path) -> None:
    make_tree(tmp_path)
    corpus = changed(tmp_path, lambda text: text.replace("A01", "-"))
    assert [one.attack for one in corpus.splits["train"]] == ["-", "unknown"]
    assert corpus.notes[0] == f"{TRAIN}: spoofs without an attack (-): 1, read as one attack, unknown"


@pytest.mark.parametrize("suffix", ["FLAC", "WAV", "Wav", "ogg", "aiff"])
def test_any_audio_stands_in_for_flac(tmp_path: Path, suffix: str) -> None:
    corpus = asvspoof2019.read(make_tree(tmp_path, suffix=suffix))
    assert {one.path.suffix for one in corpus.splits["train"]} == {f".{suffix}"}


@pytest.mark.parametrize(("name", "shown"), [("wav", "/wav"), ("FLAC", "/FLAC"), ("", "")])
def test_other_folders_than_flac_are_read_and_noted(tmp_path: Path, name: str, shown: str) -> None:
    before = asvspoof2019.read(make_tree(tmp_path))
    folder = tmp_path / "LA" / "ASVspoof2019_LA_dev"
    if name:
        (folder / "flac").rename(folder / name)
    else:
        for path in (folder / "flac").iterdir():
            path.rename(folder / path.name)
        (folder / "flac").rmdir()
    after = asvspoof2019.read(tmp_path)
    assert after.digest() == before.digest()
    assert after.notes[0] == f"LA/ASVspoof2019_LA_dev{shown}: read instead of flac, which is not there"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_protocols_with_a_byte_order_mark_are_read(tmp_path: Path, encoding: str) -> None:
    before = asvspoof2019.read(make_tree(tmp_path))
    path = list_of(tmp_path / "LA", "train")
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    after = asvspoof2019.read(tmp_path)
    assert (after.splits, after.notes) == (before.splits, before.notes)


def test_files_that_no_protocol_lists_are_counted(tmp_path: Path) -> None:
    make_tree(tmp_path)
    corpus = changed(tmp_path, lambda text: text + "\n")
    assert not any("does not list" in note for note in corpus.notes)
    folder = tmp_path / "LA" / "ASVspoof2019_LA_train" / "flac"
    for name in ("more.flac", "._more.flac", "list.txt"):
        (folder / name).touch()
    (note, *_) = asvspoof2019.read(tmp_path).notes
    assert note == "LA/ASVspoof2019_LA_train/flac: audio files that the protocol does not list: 1, not read"
