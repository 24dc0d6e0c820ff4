"""MLAAD beside M-AILABS: tables that are no CSV, languages, and their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_trees import M_AILABS, MLAAD_HEADER, make_mlaad, write_audio, write_lines
from trainables.corpora import mlaad
from trainables.corpora.corpus import CorpusError, Utterance
from trainables.errors import DropinError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_mlaad(tmp_path / "here")
    (tmp_path / "here" / M_AILABS).rename(tmp_path / "speech")
    return tmp_path / "here"


def test_small_trees_exactly(root: Path) -> None:
    corpus = mlaad.read(root, bonafide_root=root.parent / "speech")
    fake, books = root.resolve() / "fake", root.resolve().parent / "speech" / "de_DE" / "by_book"
    german, chinese = ({"language": language, "architecture": "vits"} for language in ("de", "zh-cn"))
    speech = {"language": "de", "architecture": "-"}
    vits, book = "de/tts_models_de_vits/tts_models_de_vits_1.wav", "female/eva_k/book/wavs/book_1.wav"
    assert corpus.splits["eval"] == (
        Utterance(f"fake/{vits}", fake / vits, 0, "-", "models/tts_models_de_vits", german),
        Utterance("fake/zh-cn/bark/bark_1.wav", fake / "zh-cn" / "bark" / "bark_1.wav", 0, "-", "models/bark", chinese),
        Utterance(f"bonafide/de_DE/by_book/{book}", books / book, 1, "eva_k", "-", speech),
        Utterance("bonafide/de_DE/by_book/mix/b/wavs/b_1.wav", books / "mix/b/wavs/b_1.wav", 1, "-", "-", speech),
    )
    assert mlaad.read(root / "fake", bonafide_root=root.parent / "speech").digest() == corpus.digest()


def test_one_language_of_the_bona_fide_speech_may_be_the_root(root: Path) -> None:
    corpus = mlaad.read(root, bonafide_root=root.parent / "speech" / "de_DE")
    assert [one.conditions["language"] for one in corpus.splits["eval"] if one.label] == ["de", "de"]


def test_all_faults_come_at_once(root: Path) -> None:
    table = root / "fake" / "de" / "tts_models_de_vits" / "meta.csv"
    row = "de/x.wav|de|True|3.2|data|m|vits|text"
    write_lines(table, [MLAAD_HEADER, f"./gone.wav|{row}", f"./notes.pdf|{row}", "a text that goes on", ""])
    (root / "fake" / "de" / "empty").mkdir()
    write_lines(root / "fake" / "fr" / "odd" / "meta.csv", ["file,label"])
    with pytest.raises(CorpusError) as info:
        mlaad.read(root, bonafide_root=root.parent / "nowhere")
    place = "fake/de/tts_models_de_vits"
    assert set(info.value.faults) == {
        "fake/de/empty: has no meta.csv",
        f"{place}/meta.csv:2: {place}/gone.wav is missing",
        f"{place}/meta.csv:3: path must name an audio file; got './notes.pdf'",
        "fake/fr/odd/meta.csv:1: the first line must name columns, path among them, with | between; got file,label",
        f"{root.resolve().parent / 'nowhere'}: no such folder",
        "eval: a split needs both classes; it has no bona fide utterance",
    }


def test_links_of_the_bona_fide_root_may_lead_anywhere_and_those_within_may_not(root: Path) -> None:
    speech = root.parent / "speech"
    (root.parent / "link").symlink_to(speech)
    assert len(mlaad.read(root, bonafide_root=root.parent / "link").splits["eval"]) == 4
    write_audio(root.parent / "other.wav")
    (speech / "other.wav").symlink_to(root.parent / "other.wav")
    with pytest.raises(CorpusError, match=r"speech/other\.wav: is a link to a path outside the corpus"):
        mlaad.read(root, bonafide_root=speech)
    assert len(mlaad.read(root, bonafide_root=speech, follow_links=True).splits["eval"]) == 5


def test_folders_may_be_links_and_a_circle_of_them_ends(root: Path) -> None:
    speech = root.parent / "speech"
    before = mlaad.read(root, bonafide_root=speech)
    (root.parent / "disk").mkdir()
    for number, folder in enumerate(
        (speech / "de_DE" / "by_book" / "female", root / "fake" / "de" / "tts_models_de_vits")
    ):
        folder.rename(root.parent / "disk" / str(number))
        folder.symlink_to(root.parent / "disk" / str(number))
    (speech / "de_DE" / "again").symlink_to(speech)
    assert mlaad.read(root, bonafide_root=speech).splits == before.splits


def test_bad_arguments(root: Path) -> None:
    with pytest.raises(DropinError, match=r"has spoofs only, .* add --bonafide-root DIR"):
        mlaad.read(root)
    with pytest.raises(CorpusError, match="has no fake: give the folder above it as root"):
        mlaad.read(root.parent / "speech" / "de_DE", bonafide_root=root.parent / "speech")
