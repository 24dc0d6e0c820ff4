"""Corpora that want to read other files, to hang, or to speak to the terminal: each comes to a fault and no further."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asvspoof_tree import TRAIN, append, list_of, make_tree
from corpus_trees import fake_or_real_tree
from mutations import damaged, outcome
from trainables.corpora import asvspoof2019, fake_or_real
from trainables.corpora.corpus import SPLITS, Corpus, CorpusError

TRAINING = "ASVspoof2019_LA_train/flac"
LINES = b"LA_1 LA_T_1 - - bonafide\nLA_2 LA_T_2 - A01 spoof\n"


def faults_of(read: Callable[[], Corpus]) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as info:
        read()
    shown = str(info.value).replace("\n", "")
    assert shown.isprintable(), ascii(shown)
    return info.value.faults


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("LA_1 ../../../etc/passwd - A01 spoof", "file must be a name without a path"),
        ("LA_1 /etc/passwd - A01 spoof", "file must be a name without a path"),
        ("LA_1 a\0b - A01 spoof", "file must be a name without a path; got 'a\\x00b'"),
        (f"LA_1 {'n' * 251} - A01 spoof", "file must have a name of at most 255 bytes; got 256"),
        (f"LA_1 {'n' * 100_000} - A01 spoof", "file must have a name of at most 255 bytes; got 100005"),
        (f"LA_1 {chr(0xE9) * 126} - A01 spoof", "file must have a name of at most 255 bytes; got 257"),
        ("LA_1 \x1b[2Jx - A01 spoof", "file must be text without control characters; got '\\x1b[2Jx.flac'"),
        ("LA\x07 x - A01 spoof", "speaker must be text without control characters; got 'LA\\x07'"),
        ("LA_1 x - A\x9b01 spoof", "attack must be text without control characters; got 'A\\x9b01'"),
        ("LA_1 x - A01 \x1b[31mspoof", "key must be bonafide or spoof; got '\\x1b[31mspoof'"),
        ("LA_1 x\u202eflac - A01 spoof", "LA/ASVspoof2019_LA_train/flac/x\\u202eflac.flac is missing"),
    ],
)
def test_hostile_lines_are_faults(line: str, fault: str, tmp_path: Path) -> None:
    append(list_of(make_tree(tmp_path) / "LA", "train"), f"{line}\n")
    faults = faults_of(lambda: asvspoof2019.read(tmp_path))
    assert len(faults) == 1
    assert faults[0].startswith(f"{TRAIN}:3: {fault}")


def test_hostile_lines_come_all_at_once(tmp_path: Path) -> None:
    tree = make_tree(tmp_path) / "LA"
    append(list_of(tree, "train"), f"LA_1 ../x - A01 spoof\nL\x1b {'n' * 300} - A\x1b spoof\n")
    (tree / TRAINING / "LA_T_1.flac").unlink()
    (tree / TRAINING / "LA_T_1.flac").symlink_to("/etc/passwd")
    assert len(faults_of(lambda: asvspoof2019.read(tmp_path))) == 5


def test_links_in_a_circle_are_faults(tmp_path: Path) -> None:
    tree = make_tree(tmp_path) / "LA"
    (tree / TRAINING / "LA_T_1.flac").unlink()
    (tree / TRAINING / "LA_T_1.flac").symlink_to("LA_T_1.flac")
    list_of(tree, "dev").unlink()
    list_of(tree, "dev").symlink_to(list_of(tree, "dev").name)
    assert len(faults_of(lambda: asvspoof2019.read(tmp_path))) == 2


def test_what_would_never_end_is_not_opened(tmp_path: Path) -> None:
    tree = make_tree(tmp_path) / "LA"
    for path in (tree / TRAINING / "LA_T_1.flac", list_of(tree, "dev")):
        path.unlink()
        os.mkfifo(path)
    faults = faults_of(lambda: asvspoof2019.read(tmp_path))
    assert [fault.rpartition("flac ")[2].rpartition("txt: ")[2] for fault in faults] == ["not a file", "is not a file"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"a\x1b[2J.wav", "file must be text without control characters; got 'a\\x1b[2J.wav'"),
        (b"a\nb: all is well.wav", "file must be text without control characters; got 'a\\nb: all is well.wav'"),
        (b"a\xff.wav", "file must be text without control characters; got 'a\\udcff.wav'"),
    ],
)
def test_hostile_file_names_are_faults(name: bytes, fault: str, tmp_path: Path) -> None:
    folder = fake_or_real_tree(tmp_path / "for-norm") / "training" / "real"
    os.rename(folder / "file2.wav", os.fsencode(folder) + b"/" + name)
    (found,) = faults_of(lambda: fake_or_real.read(tmp_path))
    assert found.endswith(f": {fault}")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus whose train protocol the tests below overwrite."""
    return make_tree(tmp_path_factory.mktemp("fuzzed"))


@settings(max_examples=150)
@given(content=st.binary(max_size=80) | damaged(LINES) | st.lists(damaged(LINES), max_size=3).map(b"".join))
@example(content=b"\xef\xbb\xbf" + LINES)
@example(content=LINES.replace(b"\n", b"\x85"))
def test_any_protocol_is_a_corpus_or_a_fault(tree: Path, content: bytes) -> None:
    list_of(tree / "LA", "train").write_bytes(content)
    corpus = outcome(asvspoof2019.read, tree)
    if isinstance(corpus, ValueError):
        assert isinstance(corpus, CorpusError)
        assert str(corpus).replace("\n", "").isprintable()
        return
    everything = [one for split in SPLITS for one in corpus.splits[split]]
    assert all(one.path.resolve().is_relative_to(tree.resolve()) for one in everything)
    assert not any(ord(character) < 32 for one in everything for character in one.name + one.speaker + one.attack)


@settings(max_examples=60)
@given(name=st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & {*name}))
def test_any_file_name_is_an_utterance_or_a_fault(name: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = fake_or_real_tree(tmp_path_factory.mktemp("fuzzed") / "for-norm")
    file = os.fsencode(folder / "training" / "real") + b"/" + name + b".wav"
    with open(file, "wb") as out:
        soundfile.write(out, np.zeros(10), 16000, format="WAV")
    corpus = outcome(fake_or_real.read, folder)
    if isinstance(corpus, ValueError):
        assert isinstance(corpus, CorpusError)
        assert str(corpus).replace("\n", "").isprintable()
        return
    names = {one.path.name.encode() for one in corpus.splits["train"]}
    assert (name + b".wav" in names) is not name.startswith(b".")
    assert corpus.digest()
